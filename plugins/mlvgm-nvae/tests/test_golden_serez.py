"""All stored outputs of the SerezD variant, purification included."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from mlvgm.noise import Noise
from mlvgm_nvae.build import load_weights
from mlvgm_nvae.generator import HierarchicalGenerator, HierarchicalSampling
from mlvgm_nvae.losses import balancing_targets
from mlvgm_nvae.network import NVAE
from mlvgm_nvae.regularisation import SpectralPenalty, batch_norm_penalty, singular_values
from tolerance import GRADIENT, close

Io = dict[str, Tensor]


@pytest.fixture(scope="module", params=["weights.safetensors", "checkpoint.pt"])
def model(request: pytest.FixtureRequest, golden: Callable[[str], Path]) -> NVAE:
    return load_weights(str(golden("nvae_serez") / request.param), temperature=0.6).eval()


@pytest.fixture(scope="module")
def generator(model: NVAE) -> HierarchicalGenerator:
    return HierarchicalGenerator(model, sampling=HierarchicalSampling(0.6))


def draws(io: Io, name: str, generator: HierarchicalGenerator) -> Noise:
    values = tuple(io[f"{name}_eps_{j}"] for j in range(len(generator.latents)))
    uniforms = {}
    if f"{name}_u_gumbel" in io:
        uniforms = {kind: io[f"{name}_u_{kind}"].unflatten(2, (32, 32)) for kind in ("gumbel", "logistic")}
    return Noise(values, tuple(range(len(values))), nuisance=uniforms)


def zeros(generator: HierarchicalGenerator, rows: int = 2) -> Noise:
    values = tuple(torch.zeros(rows, *latent.noise_shape) for latent in generator.latents)
    return Noise(values, tuple(range(len(values))))


def test_the_latents_are_those_of_the_configuration(generator: HierarchicalGenerator) -> None:
    assert [latent.shape for latent in generator.latents] == [(4, 8, 8), (4, 8, 8), (4, 16, 16), (4, 16, 16)]


def test_preprocessing(model: NVAE, serez_io: Io) -> None:
    close(model.encoder.preprocess(model.encoder.stem(2 * serez_io["x"] - 1)), serez_io["pre_out"])


def test_reconstruction_from_posterior_means(model: NVAE, serez_io: Io) -> None:
    close(model.pixels(model(serez_io["x"]).parameters).mean(), serez_io["recon_det"])


def test_stochastic_forward(model: NVAE, serez_io: Io) -> None:
    io = serez_io
    result = model(io["x"], [io[f"fwd_eps_{j}"] for j in range(4)])
    close(result.kl, io["fwd_kl"], depth=GRADIENT)
    # The reference orders mixture parameters by component, this package by colour; the logits come first in both.
    rest = result.parameters[:, 2:].unflatten(1, (3, 3, 2)).transpose(1, 3).flatten(1, 3)
    reference = io["fwd_logits"]
    close(torch.cat([result.parameters[:, :2], rest], 1), reference)
    pixels = model.pixels(result.parameters)
    close(2 * pixels.mean() - 1, io["fwd_mix_mean"])
    close(pixels.log_likelihood(io["x"]).flatten(1), io["fwd_log_prob"], depth=GRADIENT)
    close(-pixels.log_likelihood(io["x"]).sum((1, 2)), io["fwd_rec_loss"], depth=GRADIENT)
    gumbel, logistic = (io[f"fwd_mix_u_{kind}"].unflatten(2, (32, 32)) for kind in ("gumbel", "logistic"))
    close(2 * pixels.sample(gumbel, logistic) - 1, io["fwd_mix_sample"])


def test_outermost_bins_reach_to_infinity(model: NVAE, serez_io: Io) -> None:
    io = serez_io
    pixels = model.pixels(model(io["x"], [io[f"fwd_eps_{j}"] for j in range(4)]).parameters)
    close(pixels.log_likelihood((io["logprob_edge_x"] + 1) / 2).flatten(1), io["logprob_edge"], depth=GRADIENT)


def test_prior_and_posterior_samples_with_sampled_pixels(generator: HierarchicalGenerator, serez_io: Io) -> None:
    sampler = generator.with_sampling(likelihood="sample")
    close(sampler.generate(draws(serez_io, "sample", generator)), serez_io["sample_img"])
    noise = draws(serez_io, "recon_stoch", generator)
    pixels = generator.model.pixels(generator.model(serez_io["x"], list(noise.values)).parameters)
    close(pixels.sample(noise.nuisance["gumbel"], noise.nuisance["logistic"]), serez_io["recon_stoch"])


@pytest.mark.parametrize("name", ["a0", "a1", "amix"])
def test_purification(generator: HierarchicalGenerator, serez_io: Io, name: str) -> None:
    key = f"purify_{name}"
    source = zeros(generator) if name == "a0" else draws(serez_io, key, generator)
    blended = generator.blend(generator.encode(serez_io["x"]), source, serez_io[f"{key}_alphas"].tolist())
    close(blended.images, serez_io[key])
    close(generator.decode(blended.latents), serez_io[key])


def test_purification_at_temperature_0(generator: HierarchicalGenerator, serez_io: Io) -> None:
    cold = generator.with_sampling(temperature=0.0)
    noise = draws(serez_io, "purify_a1", generator)
    close(cold.blend(cold.encode(serez_io["x"]), noise, [1.0] * 4).images, serez_io["purify_a1_T0"])


def test_the_whole_defence(generator: HierarchicalGenerator, serez_io: Io) -> None:
    io = serez_io
    taps = torch.exp(-torch.arange(-1.0, 2.0).square() / 2)
    kernel = torch.outer(taps, taps) / taps.sum() ** 2

    def blur(images: Tensor) -> Tensor:
        padded = functional.pad(images, (1, 1, 1, 1), mode="reflect")
        return functional.conv2d(padded, kernel.expand(3, 1, 3, 3), groups=3)

    def add_noise(images: Tensor) -> Tensor:
        direction = io["call_noise"] / io["call_noise"].flatten(1).norm(dim=1)[:, None, None, None]
        return (images + 0.7 * direction).clamp(0, 1)

    close(blur(io["x"]), io["blurred"])
    close(add_noise(io["x"]), io["noisy"])
    encoding = generator.encode(add_noise(blur(io["x"])))
    purified = generator.blend(encoding, draws(io, "call", generator), [0.5] * 4).images
    close(purified, io["call_purified"])
    logits = purified.flatten(1) @ io["purify_classifier_W"].T
    close(logits, io["call_preds"])


def test_gradient_through_the_purification(generator: HierarchicalGenerator, serez_io: Io) -> None:
    io = serez_io
    images = io["x"].clone().requires_grad_()
    purified = generator.blend(generator.encode(images), zeros(generator), [0.0] * 4).images
    logits = purified.flatten(1) @ io["purify_classifier_W"].T
    close(logits.detach(), io["purify_a0_logits"])
    (gradient,) = torch.autograd.grad(functional.cross_entropy(logits, torch.tensor([1, 2])), images)
    close(gradient, io["purify_a0_ce_grad_x"], depth=GRADIENT)


def test_regularisers(model: NVAE, serez_io: Io) -> None:
    close(singular_values(model).sum()[None], serez_io["sr_singular_sum"], depth=GRADIENT)
    close(batch_norm_penalty(model)[None], serez_io["bn_loss"], depth=GRADIENT)
    estimate = SpectralPenalty(model, rounds=200)().detach()
    assert (estimate / serez_io["sr_singular_sum"] - 1).abs() < 1e-3
    assert (estimate[None] <= serez_io["sr_singular_sum"] * (1 + 1e-5)).all()


def test_balancing_targets(model: NVAE, serez_io: Io) -> None:
    close(balancing_targets(model.architecture)[None], serez_io["kl_alpha"])
