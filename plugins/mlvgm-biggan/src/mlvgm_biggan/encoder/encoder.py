"""What an encoder of this family is, and what it says of a batch of images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, Self

import torch
from torch import Tensor

from mlvgm.latents import ImageSpec


class LatentEncoder(Protocol):
    """Finds z and the class of images. Deterministic in evaluation mode, and differentiable."""

    @property
    def image(self) -> ImageSpec:
        """Images it takes."""
        ...

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Chunks of z and condition of ``images``.

        Args:
            images: (B, \\*image.shape) in [0, 1].

        Shape:
            z: all chunks joined, coarse → fine, (B, Σ chunks).
            condition: class embedding predicted from the image alone, (B, embedding).
        """
        ...

    def to(self, device: torch.device | str) -> Self: ...


@dataclass(frozen=True)
class Codes:
    """An encoding: chunks of z and the class embedding of each image.

    Args:
        values: chunk i is (B, size of chunk i), coarse → fine.
        condition: (B, embedding).
    """

    values: tuple[Tensor, ...]
    condition: Tensor

    def __len__(self) -> int:
        return len(self.condition)

    def __getitem__(self, index: Any) -> Codes:
        return self._each(lambda value: value[index])

    def repeat(self, draws: int) -> Codes:
        """Each row ``draws`` times, image-major."""
        return self._each(lambda value: value.repeat_interleave(draws, 0))

    def to(self, device: torch.device | str) -> Codes:
        """The same codes on ``device``."""
        return self._each(lambda value: value.to(device))

    def _each(self, change: Callable[[Tensor], Tensor]) -> Codes:
        return Codes(tuple(map(change, self.values)), change(self.condition))
