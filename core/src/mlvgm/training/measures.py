"""What finished models are worth on the first images of a split."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from mlvgm.protocols.data import Split
from mlvgm.training.session import Session


@torch.no_grad()
def accuracy(classify: Callable[[Tensor], Tensor], session: Session, split: Split, *, count: int) -> float:
    """Share of ``count`` images that ``classify`` (images → logits) gets right; NaN for none."""
    right = sum(int((classify(images).argmax(1) == labels).sum()) for images, labels in session.batches(split, count))
    return right / count if count else math.nan


@torch.no_grad()
def squared_error(reconstruct: Callable[[Tensor], Tensor], session: Session, split: Split, *, count: int) -> float:
    """Mean squared error of ``count`` images, on pixels in [0, 1]; NaN for none."""
    total = 0.0
    for images, _ in session.batches(split, count):
        total += float((reconstruct(images).clamp(0, 1) - images).square().mean((1, 2, 3)).sum())
    return total / count if count else math.nan
