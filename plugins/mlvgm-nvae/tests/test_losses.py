"""Distributions, KL balancing, schedules and regularisers against other formulas."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import distributions, nn

from mlvgm_nvae.architecture import NVAEArchitecture, light
from mlvgm_nvae.distributions import Normal, Parameters
from mlvgm_nvae.losses import balanced_kl, balancing_targets, bits_per_dimension
from mlvgm_nvae.regularisation import SpectralPenalty, batch_norm_penalty, singular_values
from mlvgm_nvae.schedule import kl_weights
from tolerance import close

raw = st.floats(-8, 8, width=32)


@given(raw, raw, raw, raw, st.sampled_from([0.0, 0.01]))
def test_kl_and_density_agree_with_torch(m1: float, s1: float, m2: float, s2: float, floor: float) -> None:
    def pair(mean: float, log_sigma: float) -> tuple[Normal, distributions.Normal]:
        values = Parameters(*(torch.tensor([[[[v]]]], dtype=torch.float64) for v in (mean, log_sigma)))
        clamped = [5 * torch.tanh(value / 5) for value in values]
        return Normal.of(values, sigma_floor=floor), distributions.Normal(clamped[0], clamped[1].exp() + floor)

    (ours, oracle), (other, other_oracle) = pair(m1, s1), pair(m2, s2)
    # Means and log σ are up to 5: what is left of them may be small.
    expected = distributions.kl_divergence(oracle, other_oracle)
    close(ours.kl(other), expected, scale=10 + expected.item())
    sample = torch.tensor([[[[0.7]]]], dtype=torch.float64)
    expected = oracle.log_prob(sample)
    close(ours.log_density(sample), expected, scale=10 - expected.item())
    close(ours.at(ours.noise_of(sample, temperature=0.6), temperature=0.6), sample, scale=5)


def test_balancing_penalises_what_carries_more_than_its_share(tiny: NVAEArchitecture) -> None:
    targets = balancing_targets(tiny)
    assert targets.tolist() == [1.0, 1.0, 8.0]
    kl = torch.tensor([[2.0, 8.0, 16.0], [4.0, 8.0, 16.0]], requires_grad=True)
    balanced_kl(kl, targets).sum().backward()
    weights = [(3.01 / 1), (8.01 / 1), (16.01 / 8)]
    expected = torch.tensor([weight / (sum(weights) / 3) for weight in weights])
    assert kl.grad is not None
    close(kl.grad, expected.expand(2, -1))


def test_targets_of_scales_with_different_numbers_of_groups(tiny: NVAEArchitecture) -> None:
    widths = {"latent_channels": (1, 1, 1), "encoder_widths": (16, 8, 4), "decoder_widths": (16, 8, 4)}
    adaptive = NVAEArchitecture(**{**tiny.model_dump(), **widths, "groups": (1, 2, 4)})
    assert balancing_targets(adaptive).tolist() == [1, *[4 / 2] * 2, *[16 / 4] * 4]


def test_balanced_kl_of_balanced_latents_is_their_sum(tiny: NVAEArchitecture) -> None:
    targets = balancing_targets(tiny)
    kl = 100 * targets.expand(3, -1)
    assert (balanced_kl(kl, targets) / kl.sum(1) - 1).abs().max() < 1e-3


def test_kl_weights_grow_by_scale() -> None:
    def at(progress: float, warmup: float = 0.4) -> list[float]:
        options = {"start": (0.0, 0.2, 0.6), "end": (1.0, 1.0, 2.0), "warmup": warmup}
        return kl_weights(progress, architecture=light(), **options).tolist()  # type: ignore[arg-type]

    assert at(0) == pytest.approx([0, 0, 0, 0.2, 0.2, 0.2, 0.6, 0.6])
    assert at(0.2) == pytest.approx([0.5, 0.5, 0.5, 0.6, 0.6, 0.6, 1.3, 1.3])
    assert at(0.4) == at(1.0) == at(0.0, warmup=0) == pytest.approx([1, 1, 1, 1, 1, 1, 2, 2])


def test_bits_per_dimension_of_uniform_guessing_is_8() -> None:
    nats = torch.tensor(1024 * 8 * torch.log(torch.tensor(2.0)).item())
    assert bits_per_dimension(nats, light()).item() == pytest.approx(8)


def test_spectral_penalty_and_its_gradient() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5), nn.Conv2d(5, 4, 1))
    penalty = SpectralPenalty(model, rounds=100)
    value = penalty()
    matrices = [layer.weight.detach().flatten(1).double().numpy() for layer in (model[0], model[2])]
    import numpy

    expected = sum(float(numpy.linalg.svd(matrix, compute_uv=False)[0]) for matrix in matrices)
    assert value.item() == pytest.approx(expected, rel=1e-4)
    close(singular_values(model).sum(), expected)
    value.backward()
    left, _, right = torch.linalg.svd(model[2].weight.detach().flatten(1), full_matrices=False)
    assert model[2].weight.grad is not None
    assert (model[2].weight.grad.flatten(1) - left[:, :1] @ right[:1]).abs().max() < 1e-3


def test_batch_norm_penalty() -> None:
    model = nn.Sequential(nn.BatchNorm2d(2), nn.BatchNorm2d(3))
    model[0].weight.data = torch.tensor([-3.0, 1.0])
    model[1].weight.data = torch.tensor([0.5, 0.25, -0.1])
    assert batch_norm_penalty(model).item() == pytest.approx(3.5)
