"""What the competitors share: mirrored images, checks of shapes, figures on validation images."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch

from mlvgm.errors import InputError
from mlvgm.noise import Keys, uniform

if TYPE_CHECKING:
    from torch import Tensor

    from mlvgm.protocols.data import Dataset

_BATCH = 250


@torch.no_grad()
def accuracy(classify: Callable[[Tensor], Tensor], data: Dataset, *, count: int, device: str) -> float:
    """Share of the first ``count`` validation images that ``classify`` (images → logits) gets right; NaN for none."""
    right = 0
    for first in range(0, count, _BATCH):
        images, labels = data.batch("validation", range(first, min(first + _BATCH, count)))
        right += int((classify(images.to(device)).argmax(1).cpu() == labels).sum())
    return right / count if count else math.nan


@torch.no_grad()
def squared_error(reconstruct: Callable[[Tensor], Tensor], data: Dataset, *, count: int, device: str) -> float:
    """Mean squared error of the first ``count`` validation images, on pixels in [0, 1]; NaN for none."""
    total = 0.0
    for first in range(0, count, _BATCH):
        images = data.batch("validation", range(first, min(first + _BATCH, count)))[0].to(device)
        total += float((reconstruct(images).clamp(0, 1) - images).square().mean((1, 2, 3)).sum())
    return total / count if count else math.nan


def flipped(images: Tensor, keys: Keys) -> Tensor:
    """Images (B, C, H, W), half of them mirrored; one row of ``keys`` names the choice for the batch."""
    mirror = uniform(keys, "flip", (len(images), 1, 1, 1))[0].to(images) < 0.5
    return torch.where(mirror, images.flip(3), images)


def check_shape(images: Tensor, expected: tuple[int, int, int], *, name: str) -> None:
    """Refuse images that ``name`` was not made for.

    Raises:
        InputError: another shape.
    """
    if tuple(images.shape[1:]) != expected:
        raise InputError(
            f"purifier '{name}' works on images {expected}, came {tuple(images.shape[1:])}",
            hint=f"train another with `mlvgm train purifier {name}`",
        )
