"""Small defences with known answers."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mlvgm.noise import Keys, normal
from mlvgm.protocols.attack import AttackContext, AttackInfo
from mlvgm_robust.evaluation.target import Target


@dataclass(frozen=True)
class Brightness:
    """Two classes: is the mean pixel above one half? The logit gap is ``scale`` times the distance."""

    scale: float = 10.0
    classes: int = 2

    def to(self, device: torch.device | str) -> Brightness:
        return self

    def __call__(self, images: Tensor) -> Tensor:
        gap = self.scale * (images.flatten(1).mean(1) - 0.5)
        return torch.stack([-gap / 2, gap / 2], dim=1)


@dataclass(frozen=True)
class Additive:
    """Adds one Gaussian number of standard deviation sigma to all pixels of an image."""

    sigma: float
    stochastic: bool = True
    differentiable: bool = True

    def to(self, device: torch.device | str) -> Additive:
        return self

    def noise(self, keys: Keys) -> Tensor:
        return normal(keys, "brightness", (1, 1, 1))

    def purify(self, images: Tensor, noise: Tensor) -> Tensor:
        return images.repeat_interleave(len(noise) // len(images), 0) + self.sigma * noise


@dataclass(frozen=True)
class Shift:
    """The exact optimal attack on :class:`Brightness` in Linf: move every pixel by ``by`` towards the other side."""

    eps: float
    by: float

    @property
    def info(self) -> AttackInfo:
        return AttackInfo("shift", "Linf", self.eps, access="score")

    def __call__(
        self, target: Target, images: Tensor, labels: Tensor, *, targets: Tensor | None = None, context: AttackContext
    ) -> Tensor:
        direction = torch.where(labels == 1, -1.0, 1.0)[:, None, None, None]
        return (images + self.by * direction).clamp(0, 1)
