"""What every encoder into W+ does, and what it returns to the generator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import torch
from torch import Tensor

from mlvgm.latents import ImageSpec


class StyleEncoder(Protocol):
    """Finds the styles of images. Frozen, deterministic and differentiable.

    Attributes:
        image: images ``encode`` takes.
    """

    @property
    def image(self) -> ImageSpec: ...

    def encode(self, images: Tensor) -> Tensor:
        """Styles (B, num_ws, w_dim) of images (B, \\*image.shape) in [0, 1]."""
        ...

    def restore(self, images: Tensor) -> Tensor:
        """The generator's images in [0, 1] at the encoder's size and in its framing.

        e4e pools, Style-Transformer also blackens borders; an encoder of the generator's size returns them as they are.
        """
        ...

    def to(self, device: torch.device | str) -> Self: ...


@dataclass(frozen=True)
class Codes:
    """An encoding: the styles of a batch of images.

    Args:
        values: (B, num_ws, w_dim).
    """

    values: Tensor

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, index: Tensor | Sequence[int] | slice) -> Codes:
        return Codes(self.values[index])

    def repeat(self, draws: int) -> Codes:
        """Each row ``draws`` times, image-major."""
        return Codes(self.values.repeat_interleave(draws, 0))

    def to(self, device: torch.device | str) -> Codes:
        """The same styles on ``device``."""
        return Codes(self.values.to(device))
