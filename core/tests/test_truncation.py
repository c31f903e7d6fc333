"""The map of noise that truncates it, against the truncated normal distribution of scipy."""

from __future__ import annotations

import pytest
import torch
from scipy import stats

from mlvgm.errors import InputError
from mlvgm.noise import Keys, normal
from mlvgm.truncation import truncate, untruncate
from tolerance import LAYER, close


@pytest.mark.parametrize("threshold", [0.04, 0.5, 2.0, 5.0])
def test_it_maps_quantiles_to_quantiles(threshold: float) -> None:
    noise = torch.linspace(-4.5, 4.5, 91, dtype=torch.float64)
    expected = stats.truncnorm.ppf(stats.norm.cdf(noise.numpy()), -threshold, threshold)
    # Where the density is small, a rounding of the probability moves its quantile far.
    close(truncate(noise, threshold), torch.from_numpy(expected), depth=LAYER, scale=1 / stats.norm.pdf(4.5))


def test_draws_have_the_truncated_distribution() -> None:
    noise = normal(Keys.of(seed=0, purpose="test", samples=range(20)), "z", (500,))
    assert stats.kstest(truncate(noise, 0.8).flatten().numpy(), stats.truncnorm(-0.8, 0.8).cdf).pvalue > 0.01
    assert stats.kstest(noise.flatten().numpy(), stats.truncnorm(-0.8, 0.8).cdf).pvalue < 1e-6


@pytest.mark.parametrize("threshold", [0.5, 9.0, 50.0])
def test_extremes_stay_finite_and_are_symmetric(threshold: float) -> None:
    noise = torch.tensor([-12.0, -8.0, -1.0, 0.0, 1.0, 8.0, 12.0])
    made = truncate(noise, threshold)
    assert made.isfinite().all() and torch.equal(made, -made.flip(0))
    assert (made.diff() >= 0).all() and made.abs().max() <= threshold + 1e-6
    close(untruncate(made, threshold)[2:5], noise[2:5])


def test_gradients_equal_finite_differences() -> None:
    noise = torch.tensor([-3.0, -0.5, 0.0, 0.7, 2.5], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda e: truncate(e, 1.3), noise)
    latent = truncate(noise.detach(), 1.3).requires_grad_()
    assert torch.autograd.gradcheck(lambda z: untruncate(z, 1.3), latent)


def test_values_beyond_the_threshold_have_no_noise() -> None:
    with pytest.raises(InputError, match="beyond truncation 1"):
        untruncate(torch.tensor([0.5, 1.1]), 1.0)
