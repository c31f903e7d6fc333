"""FMN: gradient steps inside a ball that shrinks after a success and grows after a failure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from mlvgm.protocols.attack import AttackContext, AttackInfo, Norm
from mlvgm_robust.attacks.config import FmnConfig
from mlvgm_robust.attacks.deepfool import DeepFool, boundaries
from mlvgm_robust.attacks.geometry import distance, dual_norm, inwards, per_image, project, steepest
from mlvgm_robust.attacks.losses import margin, targeted_margin
from mlvgm_robust.attacks.nearest import Nearest
from mlvgm_robust.attacks.rivals import likeliest_rivals

if TYPE_CHECKING:
    from torch import Tensor

    from mlvgm_robust.evaluation.target import Target

_TINY = 1e-12
_STEPS = 50  # after which another start gains more than further steps


@dataclass(frozen=True)
class Fmn:
    """Fast minimum-norm attack (Pintor et al., arXiv 2102.12827, algorithm 1).

    It starts across the linearised boundaries, nearest first, one step of DeepFool away, since the likeliest other
    class is not always the nearest one, and from one start to the next the distances found differ by more than the last
    hundred steps gain. So all steps are shared out between several starts: one for every 50 of them, but no more than
    there are boundaries. A step's length is measured in that first step of DeepFool, as images may be ten times nearer
    to a boundary than others. Gradients that point out of the box count for nothing.

    Forward and backward passes for an image, linearisation and bisections among them, are together no more than twice
    ``iterations`` · ``restarts``, those of as many plain gradient steps, as long as these are 50 or more.

    Args:
        norm: of the perturbation, which is as small as the attack can make it.
        iterations: gradient steps, times restarts.
        restarts: starts at least.
        step: α_0, L2 length of the first step, in distances to the start; the last is a hundredth of it.
        gamma: γ_0, relative change of the radius in the first step, twice the published one; the last is 1e-4.
        classes: how many boundaries, those of the classes likeliest at the image, there are to start across.
        bisections: halvings of the way between image and success.

    Example:
        >>> attack = Fmn(norm="L2", iterations=200)
        >>> candidates = attack(target, images, labels, context=context)   # doctest: +SKIP
    """

    norm: Norm = "L2"
    iterations: int = 100
    restarts: int = 3
    step: float = 2.0
    gamma: float = 0.1
    classes: int = 9
    bisections: int = 10

    @property
    def info(self) -> AttackInfo:
        return AttackInfo("fmn", self.norm, None)

    def __call__(
        self, target: Target, images: Tensor, labels: Tensor, *, targets: Tensor | None = None, context: AttackContext
    ) -> Tensor:
        nearest = Nearest.of(target, images, labels, targets=targets, context=context, norm=self.norm)
        rows = nearest.incumbents.standing()
        if len(rows):
            rivals = likeliest_rivals(nearest.incumbents, images, count=self.classes)
            linearised = boundaries(nearest.incumbents, rows, images[rows], rivals)
            for rank, steps in enumerate(self.shares(linearised[0].shape[1])):
                start = DeepFool(self.norm).move(images[rows], linearised, rank=rank)
                self._search(nearest, rows, start, steps)
        return nearest.settle(self.bisections)

    def shares(self, boundaries: int) -> list[int]:
        """Gradient steps of each start, where there are so many ``boundaries`` to start across."""
        total = self.iterations * self.restarts
        starts = max(1, min(max(self.restarts, total // _STEPS), boundaries))
        # A gradient for each boundary; a forward pass for each bisection, after each start, and three at the beginning.
        spent = math.ceil((boundaries + self.bisections + starts + 3) / 2)
        left = max(total - spent, math.ceil(total / 2))
        return [left // starts + (number < left % starts) for number in range(starts)]

    def _search(self, nearest: Nearest, rows: Tensor, point: Tensor, steps: int) -> None:
        incumbents, eot, centre = nearest.incumbents, nearest.incumbents.context.eot, nearest.centre[rows]
        aimed = incumbents.targets is not None
        wanted = (incumbents.labels if incumbents.targets is None else incumbents.targets)[rows]
        loss = targeted_margin if aimed else margin
        target = incumbents.target[rows]
        radius = torch.full_like(nearest.length[rows], torch.inf)
        found = radius  # the nearest success of this start, which another's must not hold back
        reach = distance(point - centre, "L2")
        for iteration in range(steps):
            value, gradient, logits = target.gradient(point, loss, wanted, draws=eot)
            gradient = inwards(gradient, point)
            fooled = nearest.fooled(logits, rows)
            nearest.record(point, rows, fooled)
            gamma = _cosine(self.gamma, min(self.gamma, 1e-4), iteration / steps)
            # Until the first success the radius passes the linearised boundary; then it closes in from both sides.
            away = distance(point - centre, self.norm)
            boundary = away - value / dual_norm(gradient, self.norm).clamp_min(_TINY)
            found = torch.where(fooled, torch.minimum(found, away), found)
            outwards = torch.where(found.isfinite(), radius, boundary) * (1 + gamma)
            radius = torch.where(fooled, torch.minimum(radius * (1 - gamma), found), outwards)
            length = per_image(_cosine(self.step, self.step / 100, iteration / steps) * reach)
            point = project(point + length * steepest(gradient, "L2"), centre, norm=self.norm, eps=radius)
        nearest.record(point, rows, nearest.fooled(target(point, draws=eot), rows))


def _cosine(first: float, last: float, progress: float) -> float:
    return last + (first - last) * (1 + math.cos(math.pi * progress)) / 2


def build(config: FmnConfig) -> Fmn:
    """The attack of ``config``."""
    return Fmn(**config.model_dump())
