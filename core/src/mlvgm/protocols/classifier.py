"""Classifiers: [0, 1] images in, logits out; normalisation and resizing live inside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class Classifier(Protocol):
    """A frozen classifier in evaluation mode.

    Attributes:
        classes: number of logits.
        stochastic: optional, False where it is missing. True says that answers hang on noise; such a classifier has
            ``draw(images, keys)`` too, logits (N, classes) of N images with the noise that N rows of keys name.
            It may have ``alone()``, the same classifier with noise that does not depend on the batch.
        differentiable: optional, True where it is missing. False says that no gradient leads to the images: attacks
            that need one are refused.
    """

    @property
    def classes(self) -> int: ...

    def to(self, device: torch.device | str) -> Self: ...

    def __call__(self, images: Tensor) -> Tensor:
        """Logits (N, classes) of images (N, C, H, W) in [0, 1]."""
        ...
