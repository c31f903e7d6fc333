"""APGD-DLR: Auto-PGD on the difference of logits ratio."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from mlvgm.protocols.attack import AttackContext, AttackInfo, Norm
from mlvgm_robust.attacks.apgd import ascend
from mlvgm_robust.attacks.geometry import BallConfig
from mlvgm_robust.attacks.incumbents import Incumbents
from mlvgm_robust.attacks.losses import dlr, targeted_dlr

if TYPE_CHECKING:
    from torch import Tensor

    from mlvgm.target import Target


class ApgdDlrConfig(BallConfig):
    """Options of APGD-DLR."""

    BUDGETS: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "demo": {"iterations": 20, "restarts": 1},
        "standard": {"iterations": 100, "restarts": 1},
        "rigorous": {"iterations": 200, "restarts": 5},
    }

    iterations: int = Field(100, ge=1, description="gradient steps in one restart")
    restarts: int = Field(1, ge=1, description="random starts, each on the images that still stand")


@dataclass(frozen=True)
class ApgdDlr:
    """Auto-PGD on the difference of logits ratio (arXiv 2003.01690), towards the wanted class where one is given.

    The ratio does not change with the scale of the logits: it has a gradient where the cross-entropy's vanishes.

    Args:
        norm: of the perturbation.
        eps: radius in units of [0, 1] pixels.
        iterations: gradient steps in one restart.
        restarts: random starts.

    Example:
        >>> attack = ApgdDlr(norm="Linf", eps=8 / 255)
        >>> candidates = attack(target, images, labels, context=context)   # doctest: +SKIP
    """

    norm: Norm = "L2"
    eps: float = 1.0
    iterations: int = 100
    restarts: int = 1

    @property
    def info(self) -> AttackInfo:
        return AttackInfo("apgd-dlr", self.norm, self.eps)

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
                *((dlr, labels) if targets is None else (targeted_dlr, labels, targets)),
                start=f"start{restart}",
                norm=self.norm,
                eps=self.eps,
                iterations=self.iterations,
            )


def build(config: ApgdDlrConfig) -> ApgdDlr:
    """The attack of ``config``."""
    return ApgdDlr(**config.model_dump())
