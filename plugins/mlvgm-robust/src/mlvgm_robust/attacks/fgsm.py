"""FGSM: one step along the gradient of the cross-entropy, or its sign."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlvgm.protocols.attack import AttackContext, AttackInfo, Norm
from mlvgm_robust.attacks.config import Direction, FgsmConfig
from mlvgm_robust.attacks.geometry import project, steepest
from mlvgm_robust.attacks.losses import cross_entropy, targeted_cross_entropy

if TYPE_CHECKING:
    from torch import Tensor

    from mlvgm_robust.evaluation.target import Target


@dataclass(frozen=True)
class Fgsm:
    """Fast gradient sign method (arXiv 1412.6572): a single step of length ``eps``, a weak attack and a quick check.

    Args:
        norm: of the perturbation.
        eps: radius in units of [0, 1] pixels.
        direction: of the L2 step: the gradient (steepest), or its sign, both scaled to length ``eps``.

    Example:
        >>> attack = Fgsm(norm="Linf", eps=8 / 255)
        >>> candidates = attack(target, images, labels, context=context)   # doctest: +SKIP
    """

    norm: Norm = "L2"
    eps: float = 1.0
    direction: Direction = "gradient"

    @property
    def info(self) -> AttackInfo:
        return AttackInfo("fgsm", self.norm, self.eps)

    def __call__(
        self, target: Target, images: Tensor, labels: Tensor, *, targets: Tensor | None = None, context: AttackContext
    ) -> Tensor:
        if len(images) == 0:
            return images
        loss, wanted = (cross_entropy, labels) if targets is None else (targeted_cross_entropy, targets)
        _, gradient, _ = target.gradient(images, loss, wanted, draws=context.eot)
        step = self.eps * steepest(gradient.sign() if self.direction == "sign" else gradient, self.norm)
        return project(images + step, images, norm=self.norm, eps=self.eps)


def build(config: FgsmConfig) -> Fgsm:
    """The attack of ``config``."""
    return Fgsm(**config.model_dump())
