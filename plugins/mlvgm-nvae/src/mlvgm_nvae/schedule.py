"""Schedules of training: learning rate, and the weight of each latent's KL."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from mlvgm_nvae.architecture import NVAEArchitecture


def learning_rate(step: int, *, steps: int, warmup: int) -> float:
    """Factor on the learning rate at ``step`` (from 0): linear warm-up, then a cosine to 0.

    >>> learning_rate(0, steps=100, warmup=10), round(learning_rate(99, steps=100, warmup=10), 4)
    (0.1, 0.0003)
    """
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(steps - warmup, 1)))


def kl_weights(
    progress: float, *, start: Sequence[float], end: Sequence[float], warmup: float, architecture: NVAEArchitecture
) -> Tensor:
    """Weight of each latent's KL, (latents,): linear from ``start`` to ``end`` (by scale) over the first ``warmup``.

    Args:
        progress: share of the training that is done, in [0, 1].
        start: one for each scale, coarse → fine.
        end: likewise.
        warmup: share of the training the change takes; 0 uses ``end`` from the beginning.
        architecture: which latent is at which scale.
    """
    done = 1.0 if warmup == 0 else min(progress / warmup, 1.0)
    by_scale = [first + done * (last - first) for first, last in zip(start, end, strict=True)]
    return torch.tensor([by_scale[scale] for scale in architecture.scale_of_latent])
