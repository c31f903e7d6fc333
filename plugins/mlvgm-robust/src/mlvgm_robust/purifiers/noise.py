"""Gaussian noise of a fixed L2 norm, as a step of purification and as a baseline of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from mlvgm.box import to_box
from mlvgm.noise import Keys, normal, row_numbers
from mlvgm_robust.purifiers.config import NoiseConfig
from mlvgm_robust.purifiers.none import draws_per_image

if TYPE_CHECKING:
    import torch
    from torch import Tensor


def add_noise(images: Tensor, direction: Tensor, norm: float) -> Tensor:
    """x + norm · n / ‖n‖₂ for each image, clamped to [0, 1] (arXiv 2412.03453, pre-processing).

    Args:
        images: (N, C, H, W) in [0, 1].
        direction: (N, C, H, W) Gaussian n.
        norm: L2 norm of what is added, before the clamp. 0 returns the images and does not clamp them.
    """
    if norm == 0:
        return images
    length = direction.flatten(1).norm(dim=1)[:, None, None, None]
    return to_box(images + norm * direction / length)


@dataclass(frozen=True)
class ImageNoise:
    """Keys of the noise of each row; the numbers are drawn when the shape of the images is known."""

    keys: Keys

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, index: Any) -> Self:
        return type(self)(self.keys[row_numbers(index, len(self))])

    def directions(self, images: Tensor) -> Tensor:
        """Gaussian directions (N, C, H, W) for images of the shape and on the device of ``images``."""
        return normal(self.keys, "image", images.shape[1:]).to(images)


@dataclass(frozen=True)
class AddNoise:
    """Adds noise; stochastic unless its norm is 0."""

    norm: float = 4.0
    differentiable: bool = True

    @property
    def stochastic(self) -> bool:
        return self.norm > 0

    def to(self, device: torch.device | str) -> Self:
        return self

    def noise(self, keys: Keys) -> ImageNoise:
        return ImageNoise(keys)

    def purify(self, images: Tensor, noise: ImageNoise) -> Tensor:
        repeated = images.repeat_interleave(draws_per_image(images, len(noise)), 0)
        if self.norm == 0:
            return repeated
        return add_noise(repeated, noise.directions(images), self.norm)


def build(config: NoiseConfig) -> AddNoise:
    """The purifier of ``config``; it needs no generator."""
    return AddNoise(config.norm)
