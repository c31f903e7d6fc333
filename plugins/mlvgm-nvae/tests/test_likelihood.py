"""Pixel distributions: they sum to one, and agree with torch's own distributions and slow formulas."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from mlvgm_nvae.likelihood import Bernoulli, LogisticMixture, pixel_parameters
from tolerance import close


def random_parameters(channels: int, mixtures: int, rows: int = 1, side: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    count = pixel_parameters(channels, mixtures, "logistic")
    return torch.randn(rows, count, side, side, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("mixtures", [1, 3])
def test_the_256_values_of_a_grey_pixel_have_probability_1(mixtures: int) -> None:
    pixels = LogisticMixture.of(random_parameters(1, mixtures).expand(256, -1, -1, -1), channels=1, mixtures=mixtures)
    values = (torch.arange(256, dtype=torch.float64) / 255).view(256, 1, 1, 1).expand(-1, 1, 2, 2)
    total = pixels.log_likelihood(values).exp().sum(0)
    # The published rule takes x > 0.99 in [−1, 1] for the outermost bin, so the value before it also gets its tail.
    last = LogisticMixture.of(random_parameters(1, mixtures), channels=1, mixtures=mixtures)
    tail = last.log_likelihood(torch.ones(1, 1, 2, 2, dtype=torch.float64)).exp()[0]
    assert (total - 1 - tail).abs().max() < 1e-6


def test_the_probabilities_of_all_colours_sum_to_1() -> None:
    parameters = random_parameters(3, 2, side=1)
    # Without the value before the last, which also gets the tail; its own bin is a small part of the whole.
    values = [value for value in range(256) if value != 254]
    blue = (torch.tensor(values, dtype=torch.float64) / 255).view(255, 1, 1)
    totals = []
    for red, green in ((0.2, 0.4), (0.2, 0.6)):
        images = torch.stack([torch.full_like(blue, red), torch.full_like(blue, green), blue], 1)
        pixels = LogisticMixture.of(parameters.expand(255, -1, -1, -1), channels=3, mixtures=2)
        totals.append(pixels.log_likelihood(images).exp().sum())
    # Summed over blue, what is left is the joint of red and green, from a mixture of two colours by hand.
    for total, (red, green) in zip(totals, ((0.2, 0.4), (0.2, 0.6)), strict=True):
        mixture = LogisticMixture.of(parameters, channels=3, mixtures=2)
        weights = mixture.logits.softmax(1)[0, :, 0, 0]
        joint = 0.0
        for k in range(2):
            means, scales = mixture.means[0, :, k, 0, 0], mixture.log_scales[0, :, k, 0, 0].exp()
            shift = mixture.coefficients[0, 0, k, 0, 0] * (2 * red - 1)
            of_red = _bin(2 * red - 1, means[0], scales[0])
            joint += weights[k] * of_red * _bin(2 * green - 1, means[1] + shift, scales[1])
        assert total.item() == pytest.approx(float(joint), rel=0.02)


def _bin(pixel: float, mean: Tensor, scale: Tensor) -> Tensor:
    upper, lower = (pixel + 1 / 255 - mean) / scale, (pixel - 1 / 255 - mean) / scale
    return 1 / (1 + (-upper).exp()) - 1 / (1 + (-lower).exp())


def test_far_from_the_mean_the_log_probability_stays_finite_and_steep() -> None:
    parameters = torch.tensor([0.9, -7.0]).view(1, 2, 1, 1).requires_grad_()
    value = LogisticMixture.of(parameters, channels=1, mixtures=1).log_likelihood(torch.full((1, 1, 1, 1), 0.3))
    value.sum().backward()
    # log density of the logistic at distance d of scale s: −d / s − log s, times the bin's width 2 / 255
    expected = -1.3 * math.exp(7) + 7 + math.log(2 / 255)
    assert value.item() == pytest.approx(expected, rel=1e-4)
    assert parameters.grad is not None and parameters.grad.flatten()[0].item() == pytest.approx(-math.exp(7), rel=1e-3)


def test_samples_have_the_distribution_they_are_drawn_from() -> None:
    parameters = torch.tensor([0.3, -0.2, -0.4, 0.5, -3.0, -2.5]).view(1, 6, 1, 1)
    count = 200_000
    generator = torch.Generator().manual_seed(1)
    gumbel, logistic = (
        torch.rand(count, channels, 1, 1, generator=generator).clamp(1e-5, 1 - 1e-5) for channels in (2, 1)
    )
    mixture = LogisticMixture.of(parameters.expand(count, -1, -1, -1), channels=1, mixtures=2)
    samples = 2 * mixture.sample(gumbel, logistic).flatten() - 1
    weights = torch.tensor([0.3, -0.2]).softmax(0)
    for threshold in (-0.5, -0.4, 0.0, 0.5, 0.7):
        expected = sum(
            weight / (1 + math.exp(-(threshold - mean) / math.exp(scale)))
            for weight, mean, scale in zip(weights.tolist(), (-0.4, 0.5), (-3.0, -2.5), strict=True)
        )
        # five standard errors
        margin = 5 * math.sqrt(expected * (1 - expected) / count)
        assert abs((samples <= threshold).float().mean().item() - expected) < margin


def test_bernoulli_agrees_with_torch() -> None:
    logits, images = torch.randn(2, 1, 3, 3), torch.rand(2, 1, 3, 3).round()
    ours, oracle = Bernoulli(logits), torch.distributions.Bernoulli(logits=logits)
    close(ours.log_likelihood(images), oracle.log_prob(images).sum(1))
    close(ours.mean(), oracle.mean)
    uniforms = torch.rand(2, 1, 3, 3)
    assert torch.equal(ours.sample(uniforms, uniforms), (uniforms < oracle.mean).float())
