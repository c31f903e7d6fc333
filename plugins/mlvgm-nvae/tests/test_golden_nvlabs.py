"""All stored outputs of the original network, without flows and with them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file
from torch import Tensor

from mlvgm.noise import Noise
from mlvgm_nvae.build import load_weights
from mlvgm_nvae.generator import HierarchicalGenerator
from mlvgm_nvae.network import NVAE
from tolerance import GRADIENT, close

Io = dict[str, Tensor]

FILES = ("nvae_nvlabs/weights.safetensors", "nvae_nvlabs/checkpoint.pt", "nvae_nvlabs_flows/weights.safetensors")


@pytest.fixture(scope="module", params=FILES)
def path(request: pytest.FixtureRequest, golden: Callable[[str], Path]) -> Path:
    return golden(request.param)


@pytest.fixture(scope="module")
def model(path: Path) -> NVAE:
    return load_weights(str(path)).eval()


@pytest.fixture(scope="module")
def io(path: Path) -> Io:
    return load_file(path.with_name("io.safetensors"))


def noise_of(io: Io, name: str) -> list[Tensor]:
    return [io[f"{name}_eps_{j}"] for j in range(io["smp_kl_all"].shape[1])]


def test_posterior_means(model: NVAE, io: Io) -> None:
    result = model(io["x"])
    pixels = model.pixels(result.parameters)
    close(result.parameters, io["det_logits"])
    close(pixels.mean(), io["det_mix_mean"])
    close(pixels.log_likelihood(io["x"]), io["det_log_prob"], depth=GRADIENT)
    close(result.kl, io["det_kl_all"], depth=GRADIENT)


def test_stochastic_forward(model: NVAE, io: Io) -> None:
    result = model(io["x"], noise_of(io, "smp"))
    close(result.parameters, io["smp_logits"])
    close(result.kl, io["smp_kl_all"], depth=GRADIENT)
    close(result.log_q, io["smp_log_q"], depth=GRADIENT)
    close(result.log_p, io["smp_log_p"], depth=GRADIENT)
    for j, kl in enumerate(result.kl_channels):
        close(kl.mean(0), io[f"smp_kl_diag_{j}"], depth=GRADIENT)


def test_prior_samples_at_temperature(model: NVAE, io: Io) -> None:
    generator = HierarchicalGenerator(model).with_sampling(temperature=0.6)
    values = noise_of(io, "prior_t0.6")
    noise = Noise(tuple(values), tuple(range(len(values))))
    state = model.decoder.start(2)
    for group, latent in zip(model.decoder.groups, generator.to_latents(noise).values, strict=True):
        state = group.merge(group.cells(state), latent)
    close(model.decoder.finish(state), io["prior_logits_t0.6"])
    close(generator.generate(noise), model.pixels(io["prior_logits_t0.6"]).mean())


def test_mixture_sample_from_given_uniforms(model: NVAE, io: Io) -> None:
    sample = model.pixels(io["det_logits"]).sample(io["mix_u_gumbel"], io["mix_u_logistic"])
    close(sample, io["mix_sample_seed7"])


def test_reconstruction_of_the_generator(model: NVAE, io: Io) -> None:
    generator = HierarchicalGenerator(model)
    encoding = generator.encode(io["x"])
    blended = generator.blend(encoding, encoding, [0.0] * len(generator.latents))
    close(blended.images, io["det_mix_mean"])
