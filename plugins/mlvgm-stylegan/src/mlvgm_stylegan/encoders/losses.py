"""Losses of encoder training; none of them knows a class or a classifier."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def feature_distance(found: Sequence[Tensor], expected: Sequence[Tensor]) -> Tensor:
    """Mean squared distance of two images' features, of unit length at every place (arXiv 1801.03924, equation 1).

    Args:
        found: feature maps (N, C_i, H_i, W_i).
        expected: those of other images, of the same shapes.
    """
    distances = [(_unit(a) - _unit(b)).square().sum(1).mean() for a, b in zip(found, expected, strict=True)]
    return torch.stack(distances).mean()


def offset_penalty(offsets: Tensor) -> Tensor:
    """Mean square of offsets (N, styles, w_dim), and of what sets a style's apart from those of all styles.

    Both keep codes where the mapping network's are: near the mean, and alike for all layers (arXiv 2102.02766, 4.2).
    """
    return offsets.square().mean() + (offsets - offsets.mean(1, keepdim=True)).square().mean()


def _unit(features: Tensor) -> Tensor:
    return features * (features.square().sum(1, keepdim=True) + 1e-8).rsqrt()
