"""Losses against formulas written out number by number."""

from __future__ import annotations

import pytest
import torch

from mlvgm_biggan.biggan.losses import discriminator_loss, generator_loss
from mlvgm_biggan.encoder.losses import feature_error


def test_hinge_loss_of_the_discriminator() -> None:
    real, generated = torch.tensor([1.5, 0.2, -3.0, 1.0]), torch.tensor([-1.5, 0.4])
    expected = sum(max(0.0, 1 - float(score)) for score in real) / 4
    expected += sum(max(0.0, 1 + float(score)) for score in generated) / 2
    assert discriminator_loss(real, generated).item() == pytest.approx(expected)


def test_only_scores_within_the_margin_push_the_discriminator() -> None:
    real = torch.tensor([1.5, 0.2], requires_grad=True)
    generated = torch.tensor([-1.5, 0.4], requires_grad=True)
    discriminator_loss(real, generated).backward()
    assert real.grad.tolist() == [0.0, -0.5] and generated.grad.tolist() == [0.0, 0.5]


def test_the_generator_is_pushed_everywhere() -> None:
    generated = torch.tensor([-7.0, 0.4, 9.0], requires_grad=True)
    loss = generator_loss(generated)
    loss.backward()
    assert loss.item() == pytest.approx(-(-7.0 + 0.4 + 9.0) / 3)
    assert generated.grad.tolist() == pytest.approx([-1 / 3] * 3)


def test_optimal_constant_scores() -> None:
    """Where real and generated are alike, the hinge loss is 2 for every score within the margin (arXiv 1705.02894)."""
    for score in (-1.0, 0.0, 0.7, 1.0):
        alike = torch.full((5,), score)
        assert discriminator_loss(alike, alike).item() == pytest.approx(2.0)
    assert discriminator_loss(torch.full((5,), 2.0), torch.full((5,), 2.0)).item() == pytest.approx(3.0)


def test_feature_error_is_a_share_of_each_level() -> None:
    levels = [torch.tensor([[3.0, -1.0]]), torch.tensor([[100.0]])]
    found = [torch.tensor([[3.0, 1.0]]), torch.tensor([[90.0]])]
    expected = ((0 + 4) / 2 / ((9 + 1) / 2) + 100 / 10000) / 2
    assert feature_error(found, levels).item() == pytest.approx(expected)
    # Levels count alike whatever their scale.
    assert feature_error([10 * f for f in found], [10 * w for w in levels]).item() == pytest.approx(expected)
    assert feature_error(levels, levels).item() == 0
