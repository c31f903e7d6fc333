"""What an encoder of this family does."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from mlvgm.generators import ImageEncoder


class LatentEncoder(ImageEncoder, Protocol):
    """Finds z and the class of images. Deterministic in evaluation mode, and differentiable.

    Attributes:
        image: images ``encode`` takes.
    """

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Chunks of z and condition of ``images``.

        Args:
            images: (B, \\*image.shape) in [0, 1].

        Shape:
            z: all chunks joined, coarse → fine, (B, Σ chunks).
            condition: class embedding predicted from the image alone, (B, embedding).
        """
        ...
