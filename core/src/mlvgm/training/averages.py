"""Exponential moving averages of networks in training."""

from __future__ import annotations

import torch
from torch import nn


@torch.no_grad()
def update_average(average: nn.Module, model: nn.Module, *, decay: float) -> None:
    """Move the parameters of ``average`` towards those of ``model``; buffers are copied."""
    for kept, new in zip(average.parameters(), model.parameters(), strict=True):
        kept.lerp_(new, 1 - decay)
    for buffer, current in zip(average.buffers(), model.buffers(), strict=True):
        buffer.copy_(current)


def early_decay(decay: float, step: int) -> float:
    """``decay``, less in the first steps, where the fresh parameters would weigh in for long.

    >>> early_decay(0.99, 0), early_decay(0.99, 10_000)
    (0.1, 0.99)
    """
    return min(decay, (1 + step) / (10 + step))
