"""APGD-CE: Auto-PGD on the cross-entropy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlvgm.protocols.attack import AttackInfo, Norm
from mlvgm_robust.attacks.apgd import ascend
from mlvgm_robust.attacks.config import ApgdCeConfig
from mlvgm_robust.attacks.improver import Improver
from mlvgm_robust.attacks.losses import cross_entropy, targeted_cross_entropy

if TYPE_CHECKING:
    from torch import Tensor

    from mlvgm_robust.attacks.incumbents import Incumbents


@dataclass(frozen=True)
class ApgdCe(Improver):
    """Auto-PGD on the cross-entropy (arXiv 2003.01690), towards the wanted class where one is given.

    Args:
        norm: of the perturbation.
        eps: radius in units of [0, 1] pixels.
        iterations: gradient steps in one restart.
        restarts: random starts.

    Example:
        >>> attack = ApgdCe(norm="Linf", eps=8 / 255)
        >>> candidates = attack(target, images, labels, context=context)   # doctest: +SKIP
    """

    norm: Norm = "L2"
    eps: float = 1.0
    iterations: int = 100
    restarts: int = 1

    @property
    def info(self) -> AttackInfo:
        return AttackInfo("apgd-ce", self.norm, self.eps)

    def improve(self, incumbents: Incumbents, images: Tensor) -> None:
        labels, targets = incumbents.labels, incumbents.targets
        for restart in range(self.restarts):
            ascend(
                incumbents,
                images,
                cross_entropy if targets is None else targeted_cross_entropy,
                labels if targets is None else targets,
                start=f"start{restart}",
                norm=self.norm,
                eps=self.eps,
                iterations=self.iterations,
            )


def build(config: ApgdCeConfig) -> ApgdCe:
    """The attack of ``config``."""
    return ApgdCe(**config.model_dump())
