"""Choosing alphas: leaders judged again, correlations against scipy, and traces."""

from __future__ import annotations

import math
from typing import Any

import pytest
import scipy.stats
import torch

from mlvgm_robust.alphas.method import Proposal, Trace, Trial
from mlvgm_robust.alphas.monotonicity import monotonicity, pearson, ranks, spearman
from mlvgm_robust.alphas.objective import choose, search


def trial(alpha: float, objective: float) -> Trial:
    return Trial((alpha, 1 - alpha), objective, objective, None, f"at {alpha}")


class Truth:
    """An objective that knows the true value of each vector, and counts how often it was asked."""

    def __init__(self) -> None:
        self.asked: list[float] = []

    def __call__(self, alphas: Any, *, origin: str) -> Trial:
        self.asked.append(alphas[0])
        return Trial(tuple(alphas), alphas[0], alphas[0], None, origin)


def test_a_lucky_observation_is_not_chosen() -> None:
    trace = Trace((trial(0.1, 0.95), trial(0.5, 0.9), trial(0.4, 0.9), trial(0.9, 0.2), trial(0.5, 0.91)))
    assert [one.alphas[0] for one in trace.best(9)] == [0.1, 0.5, 0.4, 0.9]
    truth = Truth()
    chosen = choose(trace, truth, top=3)
    assert truth.asked == [0.1, 0.5, 0.4]
    assert (chosen.alphas, chosen.observed, chosen.fresh) == ((0.5, 0.5), 0.91, 0.5)
    published = choose(trace, truth, choice="published")
    assert (published.alphas[0], published.observed, published.fresh) == (0.1, 0.95, None)
    assert len(truth.asked) == 3


def test_a_choice_goes_on_where_it_was_interrupted() -> None:
    trace = Trace((trial(0.1, 0.9), trial(0.2, 0.8), trial(0.3, 0.7)))
    whole, truth, recorded = choose(trace, Truth()), Truth(), []
    assert choose(trace, truth, recorded=whole.candidates[:2], record=recorded.append) == whole
    assert truth.asked == [0.3] and recorded == [whole.candidates[2]]


def test_noise_does_not_pay() -> None:
    # All vectors are equally good: the highest of 100 noisy observations exceeds the truth, the fresh one does not.
    generator = torch.Generator().manual_seed(0)
    observed = (torch.rand(100, 128, generator=generator) < 0.5).double().mean(1).tolist()
    fresh = iter((torch.rand(100, 128, generator=generator) < 0.5).double().mean(1).tolist())
    trace = Trace(tuple(trial(number / 100, value) for number, value in enumerate(observed)))
    judged = choose(trace, lambda alphas, origin: Trial(alphas, next(fresh), 0.0, None, origin), top=5)
    assert choose(trace, Truth(), choice="published").observed > 0.58
    assert sum(one.objective for one in judged.candidates) / 5 == pytest.approx(0.5, abs=4 * 0.5 / (5 * 128) ** 0.5)


def test_a_search_stops_when_told_or_when_nothing_is_proposed() -> None:
    def propose(trials: Any) -> Proposal | None:
        return None if len(trials) == 3 else Proposal((len(trials) / 10, 0.0), "next")

    recorded: list[Trial] = []
    assert len(search(propose, Truth(), evaluations=2)) == 2
    assert search(propose, Truth(), evaluations=9, record=recorded.append).trials == tuple(recorded)
    assert [one.alphas[0] for one in recorded] == [0, 0.1, 0.2]


@pytest.mark.parametrize("seed", range(5))
def test_correlations_are_those_of_scipy(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    first = torch.rand(20, generator=generator).double().mul(8).round()  # with ties
    second = first + 6 * torch.rand(20, generator=generator).double()
    expected = scipy.stats.pearsonr(first, second)
    found, interval = pearson(first, second), expected.confidence_interval(0.95)
    assert found.value == pytest.approx(expected.statistic, abs=1e-9)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), abs=1e-9)
    assert ranks(first).tolist() == scipy.stats.rankdata(first).tolist()
    assert spearman(first, second) == pytest.approx(scipy.stats.spearmanr(first, second).statistic, abs=1e-9)


def test_correlations_by_hand() -> None:
    assert spearman(torch.arange(4), torch.tensor([0.1, 0.4, 0.2, 0.9])) == pytest.approx(0.8)  # 1 − 6·2 / (4·15)
    assert spearman(torch.arange(3), torch.tensor([3.0, 2.0, 1.0])) == pytest.approx(-1)
    assert math.isnan(pearson(torch.ones(5), torch.arange(5)).value)
    assert (pearson(torch.arange(3), torch.tensor([0.0, 1, 0])).low, pearson(torch.zeros(0), torch.zeros(0)).high) == (
        -1,
        1,
    )


def test_the_monotonicity_study_finds_a_planted_relation() -> None:
    generator = torch.Generator().manual_seed(0)
    vectors = torch.rand(64, 6, generator=generator)
    index = torch.arange(6)
    rho = [spearman(index, vector) for vector in vectors]
    noise = 0.05 * torch.randn(64, generator=generator)
    trials = [
        Trial(tuple(v.tolist()), 0.0, 0.5 + 0.4 * r + float(e)) for v, r, e in zip(vectors, rho, noise, strict=True)
    ]
    study = monotonicity([*trials, Trial((0.5,) * 6, 0.0, 0.9)])
    assert study.rho == pytest.approx(rho) and len(study.accuracy) == 64
    assert study.correlation.low > 0.9
    swapped = [Trial(one.alphas[::-1], 0.0, one.accuracy) for one in trials]
    assert monotonicity(swapped).correlation.value == pytest.approx(-study.correlation.value)
    assert math.isnan(monotonicity([]).correlation.value)
