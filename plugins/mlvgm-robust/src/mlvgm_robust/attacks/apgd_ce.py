"""APGD-CE: Auto-PGD on the cross-entropy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from mlvgm.protocols.attack import AttackContext, AttackInfo, Norm
from mlvgm_robust.attacks.apgd import ascend
from mlvgm_robust.attacks.geometry import BallConfig
from mlvgm_robust.attacks.incumbents import Incumbents
from mlvgm_robust.attacks.losses import cross_entropy, targeted_cross_entropy

if TYPE_CHECKING:
    from torch import Tensor

    from mlvgm.target import Target


class ApgdCeConfig(BallConfig):
    """Options of APGD-CE."""

    BUDGETS: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "demo": {"iterations": 20, "restarts": 1},
        "standard": {"iterations": 100, "restarts": 1},
        "rigorous": {"iterations": 200, "restarts": 5},
    }

    iterations: int = Field(100, ge=1, description="gradient steps in one restart")
    restarts: int = Field(1, ge=1, description="random starts, each on the images that still stand")


@dataclass(frozen=True)
class ApgdCe:
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

    def __call__(
        self, target: Target, images: Tensor, labels: Tensor, *, targets: Tensor | None = None, context: AttackContext
    ) -> Tensor:
        incumbents = Incumbents.of(target, images, labels, targets=targets, context=context)
        self.improve(incumbents, images)
        return incumbents.images

    def improve(self, incumbents: Incumbents, images: Tensor) -> None:
        """Work on what stands among ``incumbents``, which other attacks may have left, around the clean ``images``."""
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
