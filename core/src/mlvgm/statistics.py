"""Intervals of proportions and means, paired tests, and the estimated success of an attack on a random defence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import comb
from statistics import NormalDist

import torch
from torch import Tensor

_Z95 = NormalDist().inv_cdf(0.975)


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval, all in [0, 1]."""

    value: float
    low: float
    high: float

    def overlaps(self, other: Estimate) -> bool:
        return self.low <= other.high and other.low <= self.high

    def percent(self) -> str:
        """In per cent, for tables.

        >>> Estimate(0.5, 0.4, 0.6).percent()
        '50.0 [40, 60]'
        """
        return f"{100 * self.value:.1f} [{100 * self.low:.0f}, {100 * self.high:.0f}]"


def wilson(successes: float, trials: int, *, z: float = _Z95) -> Estimate:
    """Wilson score interval of a proportion (95 % by default).

    >>> wilson(0, 10).high < 0.28 and wilson(5, 10).value == 0.5
    True
    """
    if trials == 0:
        return Estimate(float("nan"), 0.0, 1.0)
    share = successes / trials
    centre = (share + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z / (1 + z * z / trials) * (share * (1 - share) / trials + z * z / (4 * trials * trials)) ** 0.5
    # Rounding may leave a share of 0 or 1 just outside.
    return Estimate(share, max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half)))


def bootstrap_mean(values: Tensor, *, seed: int = 0, resamples: int = 2000) -> Estimate:
    """Percentile bootstrap interval (95 %) of the mean over images.

    Args:
        values: (n,) one figure an image.
        seed: seed of the resampling.
        resamples: bootstrap samples.
    """
    if values.numel() == 0:
        return Estimate(float("nan"), 0.0, 1.0)
    generator = torch.Generator().manual_seed(seed)
    values = values.double().cpu()
    chosen = torch.randint(len(values), (resamples, len(values)), generator=generator)
    means = values[chosen].mean(1).sort().values
    low, high = means[int(0.025 * resamples)], means[int(0.975 * resamples) - 1]
    return Estimate(float(values.mean()), float(low), float(high))


def mean_share(shares: Tensor) -> Estimate:
    """Mean of one share in [0, 1] an image, (n,), with the bootstrap interval over images (95 %).

    Where all shares are the same, resampling shows no spread, though n images cannot say so much. The interval is then
    Wilson's of n decisions; no shares have a larger variance than decisions.

    >>> mean_share(torch.ones(10)) == wilson(10, 10)
    True
    """
    if shares.numel() and bool((shares == shares.flatten()[0]).all()):
        return wilson(float(shares.double().sum()), shares.numel())
    return bootstrap_mean(shares)


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


# An attack may leave an image alone when it is this sure to have broken it: 16 of 16 wrong draws are enough, one of one
# (a lucky draw) never is.
BROKEN = 0.8


def success_estimate(
    logits: Tensor, labels: Tensor, *, targets: Tensor | None, votes: int, ballots: Callable[[Tensor], Tensor]
) -> tuple[Tensor, Tensor]:
    """Probability that one deployed decision is wrong, estimated from m fresh draws, and whether that is certain.

    A decision on a single draw has the share of wrong draws as its estimate, certain when the Wilson lower bound
    passes ``BROKEN``. A vote of k draws has the margin of its mean ballot against its strongest rival, taken as normal
    with the variance of the mean of k ballots plus that of the estimate itself.

    Args:
        logits: (B, m, K). m = 1 means a deterministic defence: the answer is exact.
        labels: (B,) true classes.
        targets: (B,) wanted classes; success is then reaching them.
        votes: draws of a deployed decision.
        ballots: logits (B, m, K) → what each draw brings to the vote, whose largest mean decides.

    Returns:
        probability (B,) and broken (B,) bool.
    """
    batch, draws, _ = logits.shape
    wanted = labels if targets is None else targets
    hit = logits.argmax(2) == wanted[:, None]
    wrong = (~hit if targets is None else hit).double().mean(1)
    if draws == 1:
        return wrong, wrong > 0.5
    if votes == 1:
        low = torch.tensor([wilson(float(share) * draws, draws).low for share in wrong], dtype=torch.double)
        return wrong, low.to(logits.device) > BROKEN
    cast = ballots(logits).double()
    rival = cast.mean(1).scatter(1, wanted[:, None], -torch.inf).argmax(1)
    rows = torch.arange(batch, device=logits.device)
    margin = cast[rows, :, wanted] - cast[rows, :, rival]  # (B, m)
    spread = margin.std(1) * (1 / votes + 1 / draws) ** 0.5
    probability = torch.special.ndtr(-margin.mean(1) / spread.clamp_min(1e-12))
    probability = probability if targets is None else 1 - probability
    return probability, probability > BROKEN
