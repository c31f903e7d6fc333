"""All stored outputs of the original network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from torch import Tensor

from mlvgm.noise import Noise
from mlvgm_nvae.build import load_weights
from mlvgm_nvae.generator import HierarchicalGenerator
from mlvgm_nvae.network import NVAE
from tolerance import GRADIENT, close

Io = dict[str, Tensor]


@pytest.fixture(scope="module", params=["weights.safetensors", "checkpoint.pt"])
def model(request: pytest.FixtureRequest, golden: Callable[[str], Path]) -> NVAE:
    return load_weights(str(golden("nvae_nvlabs") / request.param)).eval()


def test_posterior_means(model: NVAE, nvlabs_io: Io) -> None:
    io = nvlabs_io
    result = model(io["x"])
    pixels = model.pixels(result.parameters)
    close(result.parameters, io["det_logits"])
    close(pixels.mean(), io["det_mix_mean"])
    close(pixels.log_likelihood(io["x"]), io["det_log_prob"], depth=GRADIENT)
    close(result.kl, io["det_kl_all"], depth=GRADIENT)


def test_stochastic_forward(model: NVAE, nvlabs_io: Io) -> None:
    io = nvlabs_io
    result = model(io["x"], [io[f"smp_eps_{j}"] for j in range(4)])
    close(result.parameters, io["smp_logits"])
    close(result.kl, io["smp_kl_all"], depth=GRADIENT)
    close(result.log_q, io["smp_log_q"], depth=GRADIENT)
    close(result.log_p, io["smp_log_p"], depth=GRADIENT)
    for j in range(4):
        close(result.kl_channels[j].mean(0), io[f"smp_kl_diag_{j}"], depth=GRADIENT)


def test_prior_samples_at_temperature(model: NVAE, nvlabs_io: Io) -> None:
    generator = HierarchicalGenerator(model).with_sampling(temperature=0.6)
    noise = Noise(tuple(nvlabs_io[f"prior_t0.6_eps_{j}"] for j in range(4)), (0, 1, 2, 3))
    state = model.decoder.start(2)
    for group, latent in zip(model.decoder.groups, generator.to_latents(noise).values, strict=True):
        state = group.merge(group.cells(state), latent)
    close(model.decoder.finish(state), nvlabs_io["prior_logits_t0.6"])
    close(generator.generate(noise), model.pixels(nvlabs_io["prior_logits_t0.6"]).mean())


def test_mixture_sample_from_given_uniforms(model: NVAE, nvlabs_io: Io) -> None:
    sample = model.pixels(nvlabs_io["det_logits"]).sample(nvlabs_io["mix_u_gumbel"], nvlabs_io["mix_u_logistic"])
    close(sample, nvlabs_io["mix_sample_seed7"])
