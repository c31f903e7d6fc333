"""FMN: gradient steps inside a ball that shrinks after a success and grows after a failure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from pydantic import Field

from mlvgm.protocols.attack import AttackContext, AttackInfo, Norm
from mlvgm_robust.attacks.geometry import distance, dual_norm, project, steepest
from mlvgm_robust.attacks.losses import margin, targeted_margin
from mlvgm_robust.attacks.nearest import Nearest, NearestConfig

if TYPE_CHECKING:
    from torch import Tensor

    from mlvgm.target import Target

_TINY = 1e-12


class FmnConfig(NearestConfig):
    """Options of FMN."""

    BUDGETS: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "demo": {"iterations": 50},
        "standard": {"iterations": 200},
        "rigorous": {"iterations": 1000},
    }

    norm: Norm = Field("L2", description="norm of the perturbation")
    iterations: int = Field(200, ge=1, description="gradient steps")
    step: float = Field(1.0, gt=0, allow_inf_nan=False, description="first step's L2 length; it falls as a cosine")
    gamma: float = Field(0.05, gt=0, lt=1, description="first relative change of the radius; it falls as a cosine")


@dataclass(frozen=True)
class Fmn:
    """Fast minimum-norm attack (Pintor et al., arXiv 2102.12827, algorithm 1).

    Args:
        norm: of the perturbation, which is as small as the attack can make it.
        iterations: gradient steps.
        step: α_0, L2 length of the first step; the last is a hundredth of it.
        gamma: γ_0, relative change of the radius in the first step; the last is 1e-4.
        bisections: halvings of the way between image and success.

    Example:
        >>> attack = Fmn(norm="L2", iterations=200)
        >>> candidates = attack(target, images, labels, context=context)   # doctest: +SKIP
    """

    norm: Norm = "L2"
    iterations: int = 200
    step: float = 1.0
    gamma: float = 0.05
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
            self._search(nearest, rows, images[rows], labels[rows] if targets is None else targets[rows])
        return nearest.settle(self.bisections)

    def _search(self, nearest: Nearest, rows: Tensor, centre: Tensor, wanted: Tensor) -> None:
        incumbents, eot = nearest.incumbents, nearest.incumbents.context.eot
        target, loss = incumbents.target[rows], margin if incumbents.targets is None else targeted_margin
        point, radius = centre, torch.full_like(centre[:, 0, 0, 0], torch.inf)
        for iteration in range(self.iterations):
            value, gradient, logits = target.gradient(point, loss, wanted, draws=eot)
            fooled = nearest.fooled(logits, rows)
            nearest.record(point, rows, fooled)
            gamma = _cosine(self.gamma, min(self.gamma, 1e-4), iteration / self.iterations)
            # Until the first success the radius passes the linearised boundary; then it closes in from both sides.
            boundary = distance(point - centre, self.norm) - value / dual_norm(gradient, self.norm).clamp_min(_TINY)
            found = nearest.length[rows]
            outwards = torch.where(found.isfinite(), radius, boundary) * (1 + gamma)
            radius = torch.where(fooled, torch.minimum(radius * (1 - gamma), found), outwards)
            length = _cosine(self.step, self.step / 100, iteration / self.iterations)
            point = project(point + length * steepest(gradient, "L2"), centre, norm=self.norm, eps=radius)
        nearest.record(point, rows, nearest.fooled(target(point, draws=eot), rows))


def _cosine(first: float, last: float, progress: float) -> float:
    return last + (first - last) * (1 + math.cos(math.pi * progress)) / 2


def build(config: FmnConfig) -> Fmn:
    """The attack of ``config``."""
    return Fmn(**config.model_dump())
