"""All stored outputs of the published VDVAE, and the traps its description names."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from mlvgm.noise import Noise
from mlvgm.weights.container import read_container
from mlvgm.weights.file import filled
from mlvgm_nvae.config import VDVAEConfig
from mlvgm_nvae.generator import HierarchicalGenerator, HierarchicalSampling
from mlvgm_nvae.vdvae.architecture import VDVAEArchitecture
from mlvgm_nvae.vdvae.build import vdvae
from mlvgm_nvae.vdvae.loader import convert
from mlvgm_nvae.vdvae.network import VDVAE
from tolerance import GRADIENT, close

Io = dict[str, Tensor]
LATENTS = 7


@pytest.fixture(scope="module")
def io(golden: Callable[[str], Path]) -> Io:
    return load_file(golden("vdvae") / "io.safetensors")


@pytest.fixture(scope="module")
def model(golden: Callable[[str], Path]) -> VDVAE:
    folder = golden("vdvae")
    options = json.loads((folder / "config.json").read_text())
    converted = convert(read_container(folder / "weights.safetensors", options=options))
    assert converted is not None
    architecture = VDVAEArchitecture.model_validate_json(converted.architecture)
    return filled(lambda: VDVAE(architecture), converted.tensors, folder)


@pytest.fixture(scope="module")
def generator(model: VDVAE) -> HierarchicalGenerator:
    return HierarchicalGenerator(model, sampling=HierarchicalSampling(1.0))


def images(io: Io) -> Tensor:
    return io["x_u8_nhwc"].permute(0, 3, 1, 2).float() / 255


def descend(model: VDVAE, features: tuple[Tensor, ...], eps: Io) -> tuple[list[Tensor], list[Tensor], Tensor]:
    """Latents, KL of each, and the last state of a stochastic pass."""
    state, latents, kls = model.decoder.start(len(eps["eps_0"])), [], []
    for j, group in enumerate(model.decoder.groups):
        state = group.cells(state)
        raw = group.prior(state)
        posterior = group.normal(group.posterior(features[j], state, raw))
        latents.append(posterior.at(eps[f"eps_{j}"]))
        kls.append(posterior.kl(group.normal(raw)).sum((1, 2, 3)))
        state = group.merge(state, latents[-1])
    return latents, kls, state


def test_encoder_scales_pixels_and_keeps_the_last_features_of_each_resolution(model: VDVAE, io: Io) -> None:
    a = model.architecture
    close((255 * images(io) + a.shift) * a.scale, io["x_in"].permute(0, 3, 1, 2))
    features = model.encoder(io["x_in"].permute(0, 3, 1, 2))
    for resolution in (1, 4, 8, 16):
        close(features[resolution], io[f"enc_act_{resolution}"])
    assert [feature.shape[2] for feature in model.encode(images(io))] == [1, 4, 4, 8, 8, 16, 16]


def test_stochastic_pass(model: VDVAE, io: Io) -> None:
    latents, kls, state = descend(model, model.encode(images(io)), io)
    for j in range(LATENTS):
        close(latents[j], io[f"z_{j}"])
        close(kls[j], io[f"kl_{j}"], depth=GRADIENT)
    close(model.decoder.features(state), io["px_z_manual"])
    parameters = model.decoder.finish(state)
    close(parameters, io["px_logits_nhwc"].permute(0, 3, 1, 2))
    dimensions = 3 * 16 * 16
    rate = torch.stack(kls).sum(0).mean() / dimensions
    bits, edge = model.architecture.bits, 0.999
    likelihood = model.pixels(parameters).log_likelihood(images(io), bits=bits, upper_edge=edge)
    distortion = -likelihood.sum((1, 2)).mean() / dimensions
    close(rate[None], io["rate"], depth=GRADIENT)
    close(distortion[None], io["distortion"], depth=GRADIENT)
    close((rate + distortion)[None], io["elbo"], depth=GRADIENT)


def test_pixels_in_the_last_bin_start_above_0_999(model: VDVAE, io: Io) -> None:
    parameters = io["px_logits_nhwc"].permute(0, 3, 1, 2)
    bright = torch.full((2, 3, 16, 16), 254 / 255)
    pixels = model.pixels(parameters)
    nvae, ours = pixels.log_likelihood(bright), pixels.log_likelihood(bright, upper_edge=0.999)
    assert (nvae - ours).abs().max() > 0.1


def test_five_bit_bins_sum_to_one(model: VDVAE) -> None:
    parameters = torch.zeros(1, 20, 1, 1)
    grid = torch.linspace(0, 1, 32)
    pixels = model.pixels(parameters)
    levels = [grid[i].expand(1, 3, 1, 1) for i in range(32)]
    # The colours are independent here, so the diagonal's cube root is one colour's probability.
    mass = sum(pixels.log_likelihood(x, bits=5, upper_edge=0.999).div(3).exp().item() for x in levels)
    assert mass == pytest.approx(1, abs=1e-3)


def test_all_latents_given(generator: HierarchicalGenerator, io: Io) -> None:
    model = generator.model
    state = model.decoder.start(2)
    for j, group in enumerate(model.decoder.groups):
        state = group.merge(group.cells(state), io[f"z_{j}"])
    close(model.decoder.features(state), io["px_z_manual"])  # type: ignore[attr-defined]


def test_half_the_latents_given_the_rest_from_the_cold_prior(generator: HierarchicalGenerator, io: Io) -> None:
    """The stored noise is numbered from the first latent that was drawn."""
    given, model = int(io["half_k"]), generator.model
    state = model.decoder.start(2)
    for j, group in enumerate(model.decoder.groups):
        state = group.cells(state)
        prior = group.normal(group.prior(state))
        z = io[f"z_{j}"] if j < given else prior.at(io[f"half_eps_{j - given}"], temperature=0.7)
        state = group.merge(state, z)
    close(model.decoder.features(state), io["px_z_half_latents_t0.7"])  # type: ignore[attr-defined]


def last_features(generator: HierarchicalGenerator, values: tuple[Tensor, ...]) -> Tensor:
    model = generator.model
    state = model.decoder.start(len(values[0]))
    for group, value in zip(model.decoder.groups, values, strict=True):
        state = group.merge(group.cells(state), value)
    features: Tensor = model.decoder.features(state)  # type: ignore[attr-defined]
    return features


def test_posterior_and_prior_means(generator: HierarchicalGenerator, io: Io) -> None:
    zeros = tuple(torch.zeros(2, *spec.shape) for spec in generator.latents)
    noise = Noise(zeros, tuple(range(LATENTS)))
    encoding = generator.encode(images(io))
    kept = generator.blend(encoding, noise, [0.0] * LATENTS).latents
    close(last_features(generator, kept.values), io["px_z_posterior_mean"])
    close(last_features(generator, generator.to_latents(noise).values), io["px_z_prior_mean"])


def test_pixel_sample(model: VDVAE, io: Io) -> None:
    gumbel = io["mix_u_gumbel"].permute(0, 3, 1, 2)
    logistic = io["mix_u_logistic"].permute(0, 3, 1, 2)
    sample = model.pixels(io["px_logits_nhwc"].permute(0, 3, 1, 2)).sample(gumbel, logistic)
    close(2 * sample - 1, io["mix_sample"].permute(0, 3, 1, 2))


def test_by_path_with_its_hparams(golden: Callable[[str], Path], io: Io) -> None:
    folder = golden("vdvae")
    generator = vdvae(VDVAEConfig(weights=str(folder / "weights.safetensors"), config=folder / "config.json"))
    assert [spec.shape for spec in generator.latents] == [tuple(io[f"z_{j}"].shape[1:]) for j in range(LATENTS)]
    assert [spec.group for spec in generator.latents] == ["scale0", *["scale1"] * 2, *["scale2"] * 2, *["scale3"] * 2]
