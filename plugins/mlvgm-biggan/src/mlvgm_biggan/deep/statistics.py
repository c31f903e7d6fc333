"""Batch-norm statistics of BigGAN-deep: stored for several truncations, chosen when an image is made."""

from __future__ import annotations

from math import modf

import torch
from torch import Tensor, nn


def at_truncation(table: Tensor, truncation: float) -> Tensor:
    """The row of ``table`` for ``truncation``, as huggingface/pytorch-pretrained-BigGAN chooses it.

    Between two rows, the weights are the wrong way round there: the nearer row has the smaller one. And truncation over
    step is a floating-point number: where 7 is meant, 6.999… can come out, and row 6 is then taken with weight ≈ 1.
    Published samples were made with both.

    Args:
        table: one row for each truncation, evenly spaced from 0 to 1.
        truncation: in [0, 1].

    Example:
        >>> table = torch.arange(11.0)[:, None]
        >>> at_truncation(table, 0.5).item(), at_truncation(table, 0.525).item(), at_truncation(table, 0.7).item()
        (5.0, 5.75, 6.0)
    """
    fraction, row = modf(truncation / (1 / (len(table) - 1)))
    first = min(int(row), len(table) - 1)
    if fraction == 0:
        return table[first]
    second = min(first + 1, len(table) - 1)
    return table[first] * fraction + table[second] * (1 - fraction)


class StoredNorm(nn.Module):
    """Batch norm without gain and bias, by the stored statistics of a truncation.

    Args:
        channels: of the features.
        statistics: for how many truncations there are statistics.
        eps: added to the variances.
    """

    means: Tensor
    variances: Tensor

    def __init__(self, channels: int, *, statistics: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.register_buffer("means", torch.zeros(statistics, channels))
        self.register_buffer("variances", torch.ones(statistics, channels))

    def forward(self, features: Tensor, truncation: float) -> Tensor:
        mean, variance = (at_truncation(table, truncation) for table in (self.means, self.variances))
        return (features - mean[:, None, None]) * (variance + self.eps).rsqrt()[:, None, None]
