"""What every encoder into W+ does."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from mlvgm.generators import ImageEncoder


class StyleEncoder(ImageEncoder, Protocol):
    """Finds the styles of images. Frozen, deterministic and differentiable.

    Attributes:
        image: images ``encode`` takes.
    """

    def encode(self, images: Tensor) -> Tensor:
        """Styles (B, num_ws, w_dim) of images (B, \\*image.shape) in [0, 1]."""
        ...

    def restore(self, images: Tensor) -> Tensor:
        """The generator's images in [0, 1] at the encoder's size and in its framing.

        e4e pools, Style-Transformer also blackens borders; an encoder of the generator's size returns them as they are.
        """
        ...
