"""DeepFool: steps to the nearest of the linearised boundaries until the image is misclassified."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlvgm.protocols.attack import AttackContext, AttackInfo, Norm
from mlvgm_robust.attacks.config import DeepFoolConfig
from mlvgm_robust.attacks.geometry import distance, dual_norm, inwards, per_image, steepest
from mlvgm_robust.attacks.gradients import gradients
from mlvgm_robust.attacks.hyperplane import to_hyperplane
from mlvgm_robust.attacks.losses import targeted_margin
from mlvgm_robust.attacks.nearest import Nearest
from mlvgm_robust.attacks.rivals import likeliest_rivals

if TYPE_CHECKING:
    from torch import Tensor

    from mlvgm_robust.attacks.incumbents import Incumbents
    from mlvgm_robust.evaluation.target import Target

_TINY = 1e-12
# The authors' code goes this much farther than the linearised boundary, whatever the distance.
_MARGIN = 1e-4
# Share of a step that is made inside the box, where a whole one saturates pixels for a linearisation too old by then.
_SHARE = 0.5


@dataclass(frozen=True)
class DeepFool:
    """DeepFool (Moosavi-Dezfooli et al., arXiv 1511.04599, algorithm 2), batched over images and boundaries.

    As published it walks through points outside the box. With ``clip`` every step is half of the shortest one to the
    boundary inside the box, and no longer than half of the published one. A bisection between image and success at the
    end takes the overshoot back. ``DeepFool(clip=False, bisections=0)`` is the authors' algorithm.

    Args:
        norm: of the perturbation, which is as small as the attack can make it.
        iterations: most steps.
        classes: how many boundaries to look at, those of the classes likeliest at the image.
        overshoot: η, relative length added to every step.
        clip: stay in the box.
        bisections: halvings of the way between image and success.

    Example:
        >>> attack = DeepFool(norm="L2")
        >>> candidates = attack(target, images, labels, context=context)   # doctest: +SKIP
    """

    norm: Norm = "L2"
    iterations: int = 50
    classes: int = 9
    overshoot: float = 0.02
    clip: bool = True
    bisections: int = 10

    @property
    def info(self) -> AttackInfo:
        return AttackInfo("deepfool", self.norm, None)

    def __call__(
        self, target: Target, images: Tensor, labels: Tensor, *, targets: Tensor | None = None, context: AttackContext
    ) -> Tensor:
        nearest = Nearest.of(target, images, labels, targets=targets, context=context, norm=self.norm)
        incumbents = nearest.incumbents
        rivals = likeliest_rivals(incumbents, images, count=self.classes)
        rows = incumbents.standing()
        point = images[rows]
        for _ in range(self.iterations):
            if len(rows) == 0:
                break
            point = self.move(point, boundaries(incumbents, rows, point, rivals), whole=False)
            fooled = nearest.fooled(target[rows](point, draws=context.eot), rows)
            nearest.record(point, rows, fooled)
            rows, point = rows[~fooled], point[~fooled]
        return nearest.settle(self.bisections, clip=self.clip)

    def move(self, point: Tensor, linearised: tuple[Tensor, Tensor], *, rank: int = 0, whole: bool = True) -> Tensor:
        """From ``point`` (b, C, H, W) to the nearest linearised boundary and a little farther.

        Args:
            point: where the images are now.
            linearised: what :func:`boundaries` gives there.
            rank: 1 for the second nearest boundary, and so on; it begins anew after the farthest.
            whole: all the way; otherwise, inside the box, a shorter step that leaves more to the next linearisation.
        """
        values, slopes = linearised
        ahead = inwards(slopes, point[:, None]) if self.clip else slopes
        lengths = dual_norm(ahead.flatten(0, 1), self.norm).reshape_as(values)
        order = (values.abs() / lengths.clamp_min(_TINY)).argsort(dim=1)
        nearest = order[:, [rank % order.shape[1]]]
        slope = slopes[range(len(slopes)), nearest.squeeze(1)]
        length = lengths.gather(1, nearest).squeeze(1)
        value = -values.gather(1, nearest).squeeze(1).abs() - _MARGIN * length
        if not self.clip:
            step = per_image(-value / length.clamp_min(_TINY)) * steepest(slope, self.norm)
            return point + (1 + self.overshoot) * step
        step = to_hyperplane(point.flatten(1), slope.flatten(1), value, norm=self.norm).reshape_as(point)
        if not whole:
            free = -value / dual_norm(slope, self.norm).clamp_min(_TINY)  # how long it would be without the box
            step = step * per_image(_SHARE * (free / distance(step, self.norm).clamp_min(_TINY)).clamp_max(1))
        return (point + (1 + self.overshoot) * step).clamp(0, 1)


def boundaries(incumbents: Incumbents, rows: Tensor, point: Tensor, rivals: Tensor) -> tuple[Tensor, Tensor]:
    """The boundaries of ``rivals`` (B, k) linearised at ``point`` (b, C, H, W) of images ``rows`` (b,).

    Shape:
        output: leads (b, k), which are 0 at the boundary, and their gradients (b, k, C, H, W).
    """
    values, slopes, _ = gradients(
        incumbents.target[rows],
        point,
        rivals_lead if incumbents.targets is None else _rival_leads_all,
        incumbents.labels[rows],
        rivals[rows],
        draws=incumbents.context.eot,
    )
    return values, slopes


def rivals_lead(logits: Tensor, labels: Tensor, rivals: Tensor) -> Tensor:
    """z_j − z_y for each rival j, (n, k): a boundary is where it is 0."""
    return logits.gather(1, rivals) - logits.gather(1, labels[:, None])


def _rival_leads_all(logits: Tensor, labels: Tensor, rivals: Tensor) -> Tensor:
    """z_t − max z_j, (n, 1): passing the true class is not enough for a wanted one."""
    return targeted_margin(logits, rivals.squeeze(1))[:, None]


def build(config: DeepFoolConfig) -> DeepFool:
    """The attack of ``config``."""
    return DeepFool(**config.model_dump())
