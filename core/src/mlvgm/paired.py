"""Paired comparisons: the same images under two attacks, two defences, or two draws of noise."""

from __future__ import annotations

from dataclasses import dataclass
from math import comb

import torch
from torch import Tensor


@dataclass(frozen=True)
class Difference:
    """How much lower ``after`` is than ``before`` on the same images.

    Args:
        fall: mean of before − after.
        p: probability of a fall this large if before and after were exchangeable on every image (sign flips).
        p_rise: the same of a rise this large.
    """

    fall: float
    p: float
    p_rise: float


def paired_difference(before: Tensor, after: Tensor, *, seed: int = 0, flips: int = 10_000) -> Difference:
    """Compare two figures per image by random sign flips of their differences (Fisher's randomisation test).

    Exact up to the number of flips whatever the distribution, so that few images cannot look significant: with m
    images that differ, p is at least 2⁻ᵐ.

    Args:
        before: (n,) figures, for instance whether each decision is right.
        after: (n,) of the same images.
        seed: of the flips.
        flips: how many.

    >>> one = torch.ones(10)
    >>> paired_difference(one, one).p, paired_difference(one, torch.zeros(10)).p < 0.01
    (1.0, True)
    """
    gap = before.double().cpu() - after.double().cpu()
    gap = gap[gap != 0]
    if len(gap) == 0:
        return Difference(0.0, 1.0, 1.0)
    signs = torch.randint(0, 2, (flips, len(gap)), generator=torch.Generator().manual_seed(seed)).double() * 2 - 1
    sums, seen = signs @ gap, float(gap.sum())
    slack = 1e-9 * float(gap.abs().sum())

    def share(extreme: Tensor) -> float:
        return (int(extreme.sum()) + 1) / (flips + 1)

    return Difference(seen / len(before), share(sums >= seen - slack), share(sums <= seen + slack))


def mcnemar(first: Tensor, second: Tensor) -> float:
    """Two-sided exact p of McNemar's test on two right-or-wrong decisions per image, (n,) bool each.

    >>> mcnemar(torch.tensor([True] * 4), torch.tensor([False] * 4))
    0.125
    """
    only_first, only_second = int((first & ~second).sum()), int((~first & second).sum())
    discordant = only_first + only_second
    tail = sum(comb(discordant, i) for i in range(min(only_first, only_second) + 1))
    return float(min(1.0, 2 * tail / 2**discordant))
