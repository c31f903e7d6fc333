"""PGD: steps of one length along the gradient of the cross-entropy, projected back into the ball."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from mlvgm.protocols.attack import AttackContext, AttackInfo, Norm
from mlvgm_robust.attacks.config import PgdConfig
from mlvgm_robust.attacks.geometry import inwards, per_image, project, random_start, steepest
from mlvgm_robust.attacks.incumbents import Incumbents
from mlvgm_robust.attacks.losses import cross_entropy, targeted_cross_entropy

if TYPE_CHECKING:
    from torch import Tensor

    from mlvgm_robust.evaluation.target import Target


@dataclass(frozen=True)
class Pgd:
    """Projected gradient ascent on the cross-entropy (arXiv 1706.06083), towards the wanted class where one is given.

    Against a stochastic target the iterate with the largest loss and the last one compete on fresh selection draws.

    Args:
        norm: of the perturbation.
        eps: radius in units of [0, 1] pixels.
        iterations: gradient steps in one restart.
        restarts: starts, each on the images that still stand.
        step: length of a step in ``norm``; None means 2.5 eps / iterations, enough to cross the ball.
        random_start: start from a random point; if not, only restarts do.
        share: of the coordinates that move in one step; L1 only.

    Example:
        >>> attack = Pgd(norm="L1", eps=10.0, iterations=40)
        >>> candidates = attack(target, images, labels, context=context)   # doctest: +SKIP
    """

    norm: Norm = "L2"
    eps: float = 1.0
    iterations: int = 100
    restarts: int = 1
    step: float | None = None
    random_start: bool = True
    share: float = 0.05

    @property
    def info(self) -> AttackInfo:
        return AttackInfo("pgd", self.norm, self.eps)

    def __call__(
        self, target: Target, images: Tensor, labels: Tensor, *, targets: Tensor | None = None, context: AttackContext
    ) -> Tensor:
        incumbents = Incumbents.of(target, images, labels, targets=targets, context=context)
        for restart in range(self.restarts):
            rows = incumbents.standing()
            if len(rows) == 0:
                break
            start = images[rows]
            if self.random_start or restart:
                keys = context.keys[rows]
                start = random_start(start, norm=self.norm, eps=self.eps, keys=keys, name=f"start{restart}")
            self._ascend(incumbents, rows, images[rows], start)
        return incumbents.images

    def _ascend(self, incumbents: Incumbents, rows: Tensor, centre: Tensor, point: Tensor) -> None:
        wanted = incumbents.labels if incumbents.targets is None else incumbents.targets
        loss = cross_entropy if incumbents.targets is None else targeted_cross_entropy
        exact = not incumbents.target.stochastic and incumbents.context.stop_at_success
        length = 2.5 * self.eps / self.iterations if self.step is None else self.step
        best, largest = point, torch.full_like(point[:, 0, 0, 0], -torch.inf)
        for _ in range(self.iterations):
            value, gradient, logits = incumbents.target[rows].gradient(
                point, loss, wanted[rows], draws=incumbents.context.eot
            )
            better = value > largest
            best, largest = torch.where(per_image(better), point, best), torch.where(better, value, largest)
            if exact:
                fooled = incumbents.fooled(logits, rows)
                incumbents.take(point[fooled], rows[fooled])
                rows, centre, point, gradient = rows[~fooled], centre[~fooled], point[~fooled], gradient[~fooled]
                best, largest = best[~fooled], largest[~fooled]
                if len(rows) == 0:
                    return
            ahead = point + length * steepest(inwards(gradient, point), self.norm, share=self.share)
            point = project(ahead, centre, norm=self.norm, eps=self.eps)
        incumbents.offer(point, rows)
        if not exact:
            left = ~incumbents.broken[rows]
            incumbents.offer(best[left], rows[left])


def build(config: PgdConfig) -> Pgd:
    """The attack of ``config``."""
    return Pgd(**config.model_dump())
