"""APGD-DLR: Auto-PGD on the difference of logits ratio."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlvgm.protocols.attack import AttackInfo, Norm
from mlvgm_robust.attacks.apgd import ascend
from mlvgm_robust.attacks.config import ApgdDlrConfig
from mlvgm_robust.attacks.improver import Improver
from mlvgm_robust.attacks.losses import dlr, targeted_dlr

if TYPE_CHECKING:
    from torch import Tensor

    from mlvgm_robust.attacks.incumbents import Incumbents


@dataclass(frozen=True)
class ApgdDlr(Improver):
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

    def improve(self, incumbents: Incumbents, images: Tensor) -> None:
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
