"""Intervals and paired tests against another library, enumeration and their own coverage."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from scipy.stats import binomtest

from mlvgm.statistics import Estimate, bootstrap_mean, mcnemar, paired_difference, wilson


@pytest.mark.parametrize(("successes", "trials"), [(0, 10), (5, 10), (64, 64), (311, 1000)])
def test_wilson_equals_scipy(successes: int, trials: int) -> None:
    expected = binomtest(successes, trials).proportion_ci(method="wilson")
    ours = wilson(successes, trials)
    assert (ours.low, ours.high) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_wilson_of_nothing_says_nothing() -> None:
    estimate = wilson(0, 0)
    assert (estimate.low, estimate.high) == (0, 1) and estimate.value != estimate.value


def test_bootstrap_covers_the_mean() -> None:
    """Of 200 intervals about 190 hold the true mean; fewer than 175 would be a fault."""
    generator = torch.Generator().manual_seed(0)
    hits = 0
    for seed in range(200):
        values = torch.rand(60, generator=generator)
        estimate = bootstrap_mean(values, seed=seed, resamples=400)
        hits += estimate.low <= 0.5 <= estimate.high
    assert 175 <= hits <= 199


@pytest.mark.parametrize("seed", range(3))
def test_the_bootstrap_interval_is_one_of_95_percent(seed: int) -> None:
    """Of a mean of 400 it is ±1.960 standard errors, on both sides (90 % would be 1.645)."""
    values = torch.linspace(0, 1, 400)
    error = float(values.double().std(unbiased=False)) / 400**0.5
    estimate = bootstrap_mean(values, seed=seed, resamples=20_000)
    # The quantile of 20,000 resamples is itself off by sqrt(0.025 · 0.975 / 20,000) / 0.0584, 1 % of its distance.
    for side in (estimate.value - estimate.low, estimate.high - estimate.value):
        assert side / error == pytest.approx(1.96, rel=0.05)


def test_overlap() -> None:
    assert Estimate(0.5, 0.4, 0.6).overlaps(Estimate(0.65, 0.6, 0.7))
    assert not Estimate(0.5, 0.4, 0.6).overlaps(Estimate(0.7, 0.61, 0.8))


@pytest.mark.parametrize("trials", [*range(1, 60), 10_000])
def test_the_share_is_inside_its_interval(trials: int) -> None:
    for successes in (0, trials):
        estimate = wilson(successes, trials)
        assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1


@pytest.mark.parametrize("seed", range(3))
def test_sign_flips_against_all_of_them(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    before, after = torch.rand(9, generator=generator), torch.rand(9, generator=generator) * 0.7
    gap = (before - after).double()
    sums = torch.tensor(
        [sum(s * g for s, g in zip(signs, gap.tolist(), strict=True)) for signs in product([-1, 1], repeat=9)]
    )
    exact = float((sums >= gap.sum() - 1e-9).double().mean())
    found = paired_difference(before, after)
    assert found.fall == pytest.approx(float(gap.mean())) and found.p == pytest.approx(exact, abs=0.02)
    assert paired_difference(after, before).p_rise == pytest.approx(exact, abs=0.02)


def test_few_images_are_never_significant() -> None:
    assert paired_difference(torch.ones(6), torch.zeros(6)).p > 0.01
    assert paired_difference(torch.ones(40), torch.zeros(40)).p < 0.001


def test_mcnemar_is_a_sign_test_of_what_differs() -> None:
    first = torch.tensor([True] * 9 + [False] + [True] * 20)
    second = torch.tensor([False] * 9 + [True] + [True] * 20)
    assert mcnemar(first, second) == pytest.approx(2 * (1 + 10) / 2**10)
    assert mcnemar(first, first) == 1.0
