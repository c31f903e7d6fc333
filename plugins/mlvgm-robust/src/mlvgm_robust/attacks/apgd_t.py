"""APGD-T: Auto-PGD on the targeted difference of logits ratio, for the likeliest classes in turn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlvgm.protocols.attack import AttackInfo, Norm
from mlvgm_robust.attacks.apgd import ascend
from mlvgm_robust.attacks.config import ApgdTConfig
from mlvgm_robust.attacks.improver import Improver
from mlvgm_robust.attacks.losses import targeted_dlr
from mlvgm_robust.attacks.rivals import likeliest_rivals

if TYPE_CHECKING:
    from torch import Tensor

    from mlvgm_robust.attacks.incumbents import Incumbents


@dataclass(frozen=True)
class ApgdT(Improver):
    """Targeted Auto-PGD (arXiv 2003.01690), each class only on the images that still stand.

    Any class but the true one counts as success, also one that was not aimed at, unless wanted classes are given.

    Args:
        norm: of the perturbation.
        eps: radius in units of [0, 1] pixels.
        iterations: gradient steps for each class and restart.
        restarts: random starts for each class.
        classes: how many classes to try; K − 1 where there are fewer.

    Example:
        >>> attack = ApgdT(norm="L2", eps=0.5, classes=3)
        >>> candidates = attack(target, images, labels, context=context)   # doctest: +SKIP
    """

    norm: Norm = "L2"
    eps: float = 1.0
    iterations: int = 100
    restarts: int = 1
    classes: int = 9

    @property
    def info(self) -> AttackInfo:
        return AttackInfo("apgd-t", self.norm, self.eps)

    def improve(self, incumbents: Incumbents, images: Tensor) -> None:
        rivals = likeliest_rivals(incumbents, images, count=self.classes)
        for number, rival in enumerate(rivals.unbind(1)):
            for restart in range(self.restarts):
                ascend(
                    incumbents,
                    images,
                    targeted_dlr,
                    incumbents.labels,
                    rival,
                    start=f"class{number}/start{restart}",
                    norm=self.norm,
                    eps=self.eps,
                    iterations=self.iterations,
                )


def build(config: ApgdTConfig) -> ApgdT:
    """The attack of ``config``."""
    return ApgdT(**config.model_dump())
