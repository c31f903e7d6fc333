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
    """

    @property
    def classes(self) -> int: ...

    def to(self, device: torch.device | str) -> Self: ...

    def __call__(self, images: Tensor) -> Tensor:
        """Logits (N, classes) of images (N, C, H, W) in [0, 1]."""
        ...
