"""Do monotone alphas defend better? Rank correlation of each vector with its index, against its accuracy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import torch
from torch import Tensor

from mlvgm_robust.alphas.method import Trial

_Z95 = NormalDist().inv_cdf(0.975)


@dataclass(frozen=True)
class Correlation:
    """A Pearson correlation with its 95 % interval (Fisher's transformation), in [−1, 1]."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Monotonicity:
    """The monotonicity study of arXiv 2412.03453 (official code, before it was removed there).

    Args:
        rho: Spearman's ρ between a latent's index and its α, one a vector.
        accuracy: of each vector.
        correlation: Pearson's correlation between the two; positive if rising alphas defend better.
    """

    rho: tuple[float, ...]
    accuracy: tuple[float, ...]
    correlation: Correlation


def ranks(values: Tensor) -> Tensor:
    """Ranks from 1, ties share the mean of theirs, (n,) double.

    >>> ranks(torch.tensor([0.3, 0.1, 0.3])).tolist()
    [2.5, 1.0, 2.5]
    """
    below = (values[None] < values[:, None]).double().sum(1)
    same = (values[None] == values[:, None]).double().sum(1)
    return below + (same + 1) / 2


def pearson(first: Tensor, second: Tensor) -> Correlation:
    """Pearson's correlation of two samples (n,); NaN where one of them is constant or n < 2.

    The interval is tanh(artanh r ± 1.96 / √(n − 3)), all of [−1, 1] for n ≤ 3.
    """
    a, b = first.double() - first.double().mean(), second.double() - second.double().mean()
    scale = float(a.norm() * b.norm())
    if len(first) < 2 or scale == 0:
        return Correlation(math.nan, -1.0, 1.0)
    value = max(-1.0, min(1.0, float(a @ b) / scale))
    if len(first) <= 3 or abs(value) == 1:
        return Correlation(value, *((-1.0, 1.0) if len(first) <= 3 else (value, value)))
    half = _Z95 / math.sqrt(len(first) - 3)
    return Correlation(value, math.tanh(math.atanh(value) - half), math.tanh(math.atanh(value) + half))


def spearman(first: Tensor, second: Tensor) -> float:
    """Spearman's ρ: Pearson's correlation of the ranks.

    >>> round(spearman(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([0.1, 0.5, 0.4])), 6)
    0.5
    """
    return pearson(ranks(first), ranks(second)).value


def monotonicity(trials: Sequence[Trial]) -> Monotonicity:
    """The study of the vectors in ``trials``; constant vectors, which have no ρ, are left out."""
    index = torch.arange(len(trials[0].alphas), dtype=torch.double) if trials else torch.zeros(0)
    rho = [spearman(index, torch.tensor(trial.alphas, dtype=torch.double)) for trial in trials]
    known = [(r, trial.accuracy) for r, trial in zip(rho, trials, strict=True) if not math.isnan(r)]
    return Monotonicity(
        tuple(r for r, _ in known),
        tuple(accuracy for _, accuracy in known),
        pearson(torch.tensor([r for r, _ in known]), torch.tensor([a for _, a in known])),
    )
