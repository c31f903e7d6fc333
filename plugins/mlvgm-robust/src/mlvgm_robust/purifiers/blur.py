"""Gaussian blur, as a step of purification and as a baseline of its own."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import torch
import torch.nn.functional as F

from mlvgm.errors import InputError
from mlvgm.noise import Keys
from mlvgm_robust.purifiers.config import BlurConfig
from mlvgm_robust.purifiers.none import NoNoise, draws_per_image

if TYPE_CHECKING:
    from torch import Tensor


def gaussian_blur(images: Tensor, sigma: float, kernel: int | None = None) -> Tensor:
    """Blur each channel with a Gaussian, reflecting at the border.

    Args:
        images: (B, C, H, W).
        sigma: standard deviation in pixels; 0 returns the images.
        kernel: side in pixels, odd. None reaches four sigma, where the weights are below 4e-4 of the centre. The
            published code takes 2^⌊⌊√H⌋ / 2⌋ − 1 (3 at 32 pixels, 15 at 64, 255 at 256), which at 32 pixels cuts the
            Gaussian off at one sigma: pass that number to repeat it.

    Raises:
        InputError: the image is smaller than the reflected border.
    """
    if sigma == 0:
        return images
    radius = math.ceil(4 * sigma) if kernel is None else kernel // 2
    if radius >= min(images.shape[-2:]):
        raise InputError(
            f"a blur of radius {radius} pixels for images of {images.shape[-2]}×{images.shape[-1]}",
            hint="lower sigma or set a smaller kernel",
        )
    taps = torch.arange(-radius, radius + 1, dtype=images.dtype, device=images.device)
    weights = torch.exp(-0.5 * (taps / sigma) ** 2)
    weights = (weights / weights.sum()).expand(images.shape[1], 1, 1, -1)
    padded = F.pad(images, (radius, radius, radius, radius), mode="reflect")
    rows = F.conv2d(padded, weights, groups=images.shape[1])
    return F.conv2d(rows, weights.transpose(2, 3), groups=images.shape[1])


@dataclass(frozen=True)
class Blur:
    """Blurs; deterministic."""

    sigma: float = 1.0
    kernel: int | None = None
    stochastic: bool = False
    differentiable: bool = True

    def to(self, device: torch.device | str) -> Self:
        return self

    def noise(self, keys: Keys) -> NoNoise:
        return NoNoise(len(keys))

    def purify(self, images: Tensor, noise: NoNoise) -> Tensor:
        draws = draws_per_image(images, len(noise))
        return gaussian_blur(images, self.sigma, self.kernel).repeat_interleave(draws, 0)


def build(config: BlurConfig) -> Blur:
    """The purifier of ``config``; it needs no generator."""
    return Blur(config.sigma, config.kernel)
