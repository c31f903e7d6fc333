"""Carlini & Wagner's L2 attack: distance plus c times the margin, minimised without a box, c searched for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import torch

from mlvgm.protocols.attack import AttackContext, AttackInfo
from mlvgm_robust.adam import Adam
from mlvgm_robust.attacks.config import CarliniWagnerConfig
from mlvgm_robust.attacks.deepfool import DeepFool, boundaries
from mlvgm_robust.attacks.geometry import distance, inwards, per_image, random_start
from mlvgm_robust.attacks.losses import margin, targeted_margin
from mlvgm_robust.attacks.nearest import Nearest
from mlvgm_robust.attacks.rivals import likeliest_rivals

if TYPE_CHECKING:
    from torch import Tensor

    from mlvgm_robust.evaluation.target import Target

# How near a start may come to 0 and 1, where x(w) has no slope.
_EDGE = 1e-6
# What c is multiplied or divided by until there were a success and a failure.
_FACTOR = 3
# Loss has to fall by this factor from check to check, ten checks in a run, or the run is over.
_PROGRESS, _CHECKS = 0.999, 10
_TINY = 1e-12


@dataclass(frozen=True)
class CarliniWagner:
    """Minimises ‖x − x₀‖² + c max(κ − margin, 0) with Adam over w (arXiv 1608.04644, section V).

    Three things differ from the paper. x = (1 + sin w) / 2 instead of tanh w: both keep x in the box, but pixels at 0
    or 1 come off the face in a few steps instead of hundreds. The learning rate follows the distance and falls to 0,
    for a constant one circles around near boundaries. And runs after the first start across the linearised
    boundaries, nearest first, one step of DeepFool away, since the likeliest other class is not always the nearest one.

    Every image has its own c: smaller after a success, larger after a failure, the geometric mean between the two once
    there were both. A run ends early when its loss no longer falls, unless it has had a success and may still come
    nearer than the nearest so far.

    Args:
        iterations: gradient steps for each c.
        searches: values of c.
        c: the first one; None takes the c with which a linear model's minimum lies on its boundary.
        kappa: κ, margin by which the logits of a success should be wrong; a random defence's final candidates are
            confirmed without it.
        step: longest first step of Adam, as a multiple of the distance to the nearest success (of a linear model's,
            while there is none).
        noise: L2 norm of Gaussian noise on every start.
        classes: how many boundaries, those of the classes likeliest at the image, runs start across.
        early_abort: end the steps for a c once they can gain no more.
        bisections: halvings of the way between image and success.

    Example:
        >>> attack = CarliniWagner(iterations=100)
        >>> candidates = attack(target, images, labels, context=context)   # doctest: +SKIP
    """

    norm: Literal["L2"] = "L2"
    iterations: int = 100
    searches: int = 6
    c: float | None = None
    kappa: float = 0.0
    step: float = 2.0
    noise: float = 0.0
    classes: int = 9
    early_abort: bool = True
    bisections: int = 10

    @property
    def info(self) -> AttackInfo:
        return AttackInfo("carlini-wagner", self.norm, None)

    def __call__(
        self, target: Target, images: Tensor, labels: Tensor, *, targets: Tensor | None = None, context: AttackContext
    ) -> Tensor:
        nearest = Nearest.of(target, images, labels, targets=targets, context=context, norm=self.norm, kappa=self.kappa)
        rows = nearest.incumbents.standing()
        if len(rows):
            self._search(nearest, rows, context)
        return nearest.settle(self.bisections)

    def _search(self, nearest: Nearest, rows: Tensor, context: AttackContext) -> None:
        (c, reach), centre = self._linearise(nearest, rows), nearest.centre[rows]
        low, high = torch.zeros_like(c), torch.full_like(c, torch.inf)
        if self.searches > 1:
            rivals = likeliest_rivals(nearest.incumbents, nearest.centre, count=self.classes)
            linearised = boundaries(nearest.incumbents, rows, centre, rivals)
        for search in range(self.searches):
            start = DeepFool(self.norm).move(centre, linearised, rank=search - 1) if search else centre
            if self.noise:
                start = random_start(
                    start, norm=self.norm, eps=self.noise, keys=context.keys[rows], name=f"start{search}"
                )
            length = nearest.length[rows]
            success = self._minimise(nearest, rows, start, c, torch.where(length.isfinite(), length, reach))
            low, high = torch.where(success, low, c), torch.where(success, c, high)
            between = torch.where(high.isinf(), _FACTOR * low, (low * high).sqrt())
            c = torch.where(low == 0, high / _FACTOR, between)

    def _linearise(self, nearest: Nearest, rows: Tensor) -> tuple[Tensor, Tensor]:
        """The first c (b,) and the distance to the boundary (b,) that a linear model would have.

        ‖d‖² + c (κ − m − ⟨g, d⟩) is smallest at d = c g / 2, which is on the boundary for c = 2 (κ − m) / ‖g‖².
        """
        incumbents, centre = nearest.incumbents, nearest.centre[rows]
        value, gradient, _ = incumbents.target[rows].gradient(
            centre, _margin(nearest), _wanted(nearest)[rows], draws=incumbents.context.eot
        )
        slope = distance(inwards(gradient, centre), self.norm)
        reach = torch.where(slope > _TINY, (self.kappa - value).clamp_min(_TINY) / slope.clamp_min(_TINY), 1.0)
        weight = torch.where(slope > _TINY, 2 * reach / slope.clamp_min(_TINY), 1.0)
        return (weight if self.c is None else torch.full_like(weight, self.c)), reach

    def _minimise(self, nearest: Nearest, rows: Tensor, start: Tensor, c: Tensor, scale: Tensor) -> Tensor:
        """One run of Adam for images ``rows``; which of them had a success, (b,).

        Args:
            nearest: the attack's state.
            rows: (b,) which images.
            start: (b, C, H, W) where to start.
            c: (b,) weights of the margin.
            scale: (b,) about how far away a success is.
        """
        target, eot, wanted = nearest.incumbents.target, nearest.incumbents.context.eot, _wanted(nearest)
        w, everyone = torch.asin(2 * start.clamp(_EDGE, 1 - _EDGE) - 1), rows
        # A step of Adam moves w by the rate in every pixel, and x by no more than half of that.
        rate = torch.zeros_like(nearest.length).index_copy(0, rows, 2 * self.step * scale / w[0].numel() ** 0.5)
        adam, kappa = Adam.of(w, rate=0.0), torch.full_like(nearest.length, self.kappa)
        weight = torch.zeros_like(nearest.length).index_copy(0, rows, c)
        success = torch.zeros_like(nearest.length, dtype=torch.bool)
        lowest = torch.full_like(nearest.length, torch.inf)
        checked, every, hinge = lowest.clone(), max(self.iterations // _CHECKS, 1), _hinge(_margin(nearest))
        for iteration in range(self.iterations):
            point, delta = (w.sin() + 1) / 2, (w.sin() + 1) / 2 - nearest.centre[rows]
            value, gradient, logits = target[rows].gradient(point, hinge, wanted[rows], kappa[rows], draws=eot)
            fooled = nearest.fooled(logits, rows)
            nearest.record(point, rows, fooled)
            success[rows] |= fooled
            loss = delta.square().flatten(1).sum(1) + weight[rows] * (self.kappa - value)
            lowest[rows] = torch.minimum(lowest[rows], loss)
            slope = (2 * delta - per_image(weight[rows]) * gradient) * w.cos() / 2
            adam = replace(adam, rate=per_image(rate[rows] * (1 - iteration / self.iterations)))
            w, adam = adam.step(w, slope)
            if (iteration + 1) % every == 0 and iteration + 1 < self.iterations:
                # At a success the loss is the squared distance. Without one, a minimum lies before the boundary.
                falls = lowest[rows] < _PROGRESS * checked[rows]
                goes_on = falls | (success[rows] & (lowest[rows] < nearest.length[rows].square()))
                goes_on |= not self.early_abort
                checked[rows] = lowest[rows]
                success[rows[goes_on]] = False  # large first steps cross the boundary whatever c is
                rows, w, adam = rows[goes_on], w[goes_on], adam[goes_on]
                if len(rows) == 0:
                    break
        return success[everyone]


def _wanted(nearest: Nearest) -> Tensor:
    incumbents = nearest.incumbents
    return incumbents.labels if incumbents.targets is None else incumbents.targets


def _margin(nearest: Nearest) -> Callable[[Tensor, Tensor], Tensor]:
    return margin if nearest.incumbents.targets is None else targeted_margin


def _hinge(margin: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., Tensor]:
    """min(margin, κ): no more is asked for once the logits are wrong by κ."""
    return lambda logits, wanted, kappa: torch.minimum(margin(logits, wanted), kappa)


def build(config: CarliniWagnerConfig) -> CarliniWagner:
    """The attack of ``config``."""
    return CarliniWagner(**config.model_dump())
