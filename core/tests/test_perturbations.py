"""Perturbations of noise: what they address changes as their equation says, everything else stays."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import nn

from mlvgm.batches import untied
from mlvgm.errors import ConfigError, InputError
from mlvgm.noise import Keys, Noise, normal
from mlvgm.perturbations.correlate import Correlate
from mlvgm.perturbations.resample import Resample
from mlvgm.perturbations.shift import Shift
from mlvgm.perturbations.walk import Walk
from mlvgm.protocols.perturbation import Perturbation
from tolerance import close

KEYS = Keys.of(seed=1, purpose="test/positive", samples=range(40))
EVERY = [Resample, lambda latents: Correlate(latents, 0.5), lambda latents: Shift(latents, 0.5, 1.0)]
EVERY += [lambda latents: Walk(latents, lambda given: given + 1)]


def noise(source: tuple[int, ...] = (0, 1, 2), rows: int = 40) -> Noise:
    keys = Keys.of(seed=0, purpose="test", samples=range(rows))
    values = tuple(normal(keys, f"z{i}", (i + 2, 5)) for i in range(len(set(source))))
    return Noise(values, source, {"image": normal(keys, "image", (2,))}, normal(keys, "class", (4,)))


@pytest.mark.parametrize("make", EVERY)
def test_what_is_not_addressed_stays(make: Any) -> None:
    before, perturbation = noise(), make((1,))
    after = perturbation(before, KEYS)
    assert isinstance(perturbation, Perturbation)
    assert [torch.equal(after.of(i), before.of(i)) for i in range(3)] == [True, False, True]
    assert after.nuisance is before.nuisance and after.condition is before.condition


@pytest.mark.parametrize("make", EVERY)
def test_ties_hold_among_the_addressed_and_among_the_others(make: Any) -> None:
    before = noise((0, 0, 0, 0, 1))
    after = make((1, 2))(before, KEYS)
    assert torch.equal(after.of(1), after.of(2)) and not torch.equal(after.of(1), before.of(1))
    assert torch.equal(after.of(0), before.of(0)) and torch.equal(after.of(3), before.of(3))
    assert len(after.values) == 3
    everything = make((0, 1, 2, 3))(before, KEYS)
    assert len(everything.values) == 2  # nobody reads the old draw


@pytest.mark.parametrize("make", EVERY)
@given(rows=st.lists(st.integers(0, 39), min_size=1, max_size=6, unique=True))
@settings(max_examples=10, deadline=None)
def test_a_rows_perturbation_depends_on_its_key_alone(make: Any, rows: list[int]) -> None:
    whole, part = make((0, 2))(noise(), KEYS), make((0, 2))(noise()[rows], KEYS[rows])
    for i in range(3):
        close(part.of(i), whole.of(i)[rows])


def test_resampled_noise_is_standard_normal_and_independent() -> None:
    before, after = noise(), Resample((2,))(noise(), KEYS)
    assert stats.kstest(after.of(2).flatten().numpy(), "norm").pvalue > 0.01
    assert abs(torch.corrcoef(torch.stack([before.of(2).flatten(), after.of(2).flatten()]))[0, 1]) < 0.12


@pytest.mark.parametrize("rho", [-1.0, -0.4, 0.0, 0.7, 1.0])
def test_correlation_is_rho_and_the_distribution_stays(rho: float) -> None:
    before, after = noise(), Correlate((2,), rho)(noise(), KEYS)
    old, new = before.of(2).flatten(), after.of(2).flatten()  # 800 numbers
    assert abs(float(torch.corrcoef(torch.stack([old, new]))[0, 1]) - rho) < 0.12
    assert stats.kstest(new.numpy(), "norm").pvalue > 0.01
    fresh = Resample((2,))(noise(), KEYS).of(2).flatten()
    close(new, rho * old + (1 - rho**2) ** 0.5 * fresh)


def test_shifts_are_truncated_gaussians() -> None:
    before, after = noise(), Shift((2,), 0.25, 1.0)(noise(), KEYS)
    moved = (after.of(2) - before.of(2)).flatten() / 0.25
    assert float(moved.abs().max()) <= 1 + 1e-5
    assert stats.kstest(moved.double().numpy(), stats.truncnorm(-1, 1).cdf).pvalue > 0.01
    whole = (Shift((2,), 0.25)(noise(), KEYS).of(2) - before.of(2)).flatten() / 0.25
    assert stats.kstest(whole.double().numpy(), "norm").pvalue > 0.01 and float(whole.abs().max()) > 2


def test_a_walker_sees_its_range_as_one_vector_in_order() -> None:
    before, seen = noise(), []

    def walker(given: torch.Tensor) -> torch.Tensor:
        seen.append(given)
        return 2 * given

    after = Walk((0, 2), walker)(before, KEYS)
    assert torch.equal(seen[0], torch.cat([before.of(0).flatten(1), before.of(2).flatten(1)], 1))
    assert torch.equal(after.of(0), 2 * before.of(0)) and torch.equal(after.of(2), 2 * before.of(2))
    with pytest.raises(InputError, match=r"expected \(40, 10\) from the walker, came \(40, 3\)"):
        Walk((0,), lambda given: given[:, :3])(before, KEYS)


def test_rows_may_have_strengths_of_their_own() -> None:
    rho = torch.linspace(0, 1, 40)
    after, fresh = Correlate((0,), rho)(noise(), KEYS), Resample((0,))(noise(), KEYS)
    close(after.of(0)[0], fresh.of(0)[0])
    close(after.of(0)[-1], noise().of(0)[-1])


def test_gradients_reach_noise_and_parameters() -> None:
    rho, sigma = torch.tensor(0.5, requires_grad=True), torch.tensor(0.5, requires_grad=True)
    walker = nn.Linear(10, 10)
    given = untied(noise())
    value = given.values[0].requires_grad_()
    chain = [Correlate((0,), rho), Shift((0,), sigma, 1.0), Walk((0,), walker)]
    for perturbation in chain:
        given = perturbation(given, KEYS)
    given.of(0).square().sum().backward()
    for tensor in (rho, sigma, walker.weight, value):
        assert tensor.grad is not None and bool(tensor.grad.abs().sum() > 0)


@pytest.mark.parametrize(
    "act",
    [
        lambda: Correlate((0,), 1.1),
        lambda: Correlate((0,), float("nan")),
        lambda: Shift((0,), -0.1),
        lambda: Shift((0,), 0.1, 0.0),
        lambda: Resample((3,))(noise(), KEYS),
        lambda: Resample(())(noise(), KEYS),
        lambda: Resample((0,))(noise(), KEYS[:3]),
    ],
)
def test_what_cannot_be_is_refused(act: Any) -> None:
    with pytest.raises(ConfigError, match=r"must be|expected"):
        act()
