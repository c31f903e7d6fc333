"""The generator contract, on a tiny full-cell network, one with flows, and the light one."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from blended_alphas import check_tensor_alphas
from mlvgm.errors import ConfigError, InputError
from mlvgm.noise import Keys, Noise
from mlvgm.protocols.generator import Encodes, Encoding, Inverts
from mlvgm_nvae.architecture import NVAEArchitecture, light
from mlvgm_nvae.generator import HierarchicalGenerator, HierarchicalSampling
from mlvgm_nvae.network import NVAE
from tolerance import GRADIENT, close


@pytest.fixture(params=["tiny", "flows", "light"])
def generator(
    request: pytest.FixtureRequest, tiny: NVAEArchitecture, awake: Callable[..., NVAE]
) -> HierarchicalGenerator:
    architectures = {"tiny": tiny, "flows": tiny.model_copy(update={"flows": 1}), "light": light()}
    return HierarchicalGenerator(awake(architectures[request.param]), sampling=HierarchicalSampling(0.7))


def keys(samples: int, draws: int = 1, seed: int = 0) -> Keys:
    return Keys.of(seed=seed, purpose="test", samples=range(samples), draws=range(draws))


def images(generator: HierarchicalGenerator, rows: int) -> Tensor:
    return torch.rand(rows, *generator.image.shape, generator=torch.Generator().manual_seed(1))


def ramp(generator: HierarchicalGenerator) -> list[float]:
    count = len(generator.latents)
    return [i / (count - 1) for i in range(count)]


def test_capabilities_and_specs(generator: HierarchicalGenerator) -> None:
    assert isinstance(generator, Encodes) and isinstance(generator, Inverts)
    assert isinstance(generator.encode(images(generator, 1)), Encoding)
    assert [latent.name for latent in generator.latents] == [f"z{i}" for i in range(len(generator.latents))]
    groups = [latent.group for latent in generator.latents]
    assert groups == sorted(groups) and groups[0] == "scale0"  # type: ignore[type-var]
    noise = generator.draw_noise(keys(2))
    latents = generator.to_latents(noise)
    for i, spec in enumerate(generator.latents):
        assert noise.of(i).shape == (2, *spec.noise_shape) and latents.values[i].shape == (2, *spec.shape)
    assert not any(parameter.requires_grad for parameter in generator.model.parameters())
    assert not generator.model.training


def test_alpha_0_reconstructs(generator: HierarchicalGenerator) -> None:
    batch = images(generator, 2)
    blended = generator.blend(generator.encode(batch), generator.draw_noise(keys(2)), [0.0] * len(generator.latents))
    close(blended.images, generator.model.pixels(generator.model(batch).parameters).mean())
    close(generator.decode(blended.latents), blended.images)


def test_alpha_1_samples(generator: HierarchicalGenerator) -> None:
    noise = generator.draw_noise(keys(2))
    blended = generator.blend(generator.encode(images(generator, 2)), noise, [1.0] * len(generator.latents))
    if len(generator.model.decoder.groups[0].flow):
        assert (blended.images - generator.generate(noise)).abs().max() > 1e-3
        return
    close(blended.images, generator.generate(noise))
    close(generator.decode(generator.to_latents(noise)), generator.generate(noise))


def test_the_mixture_by_hand(generator: HierarchicalGenerator) -> None:
    model, alphas, noise = generator.model, ramp(generator), generator.draw_noise(keys(2))
    features = model.encode(images(generator, 2))
    state = model.decoder.start(2)
    for i, (group, alpha) in enumerate(zip(model.decoder.groups, alphas, strict=True)):
        state = group.cells(state)
        mean, log_sigma = group.prior(state)
        posterior = 5 * torch.tanh(group.posterior(features[i], state, group.prior(state)).mean / 5)
        sigma = 0.7 * (torch.exp(5 * torch.tanh(log_sigma / 5)) + model.architecture.sigma_floor)
        mixed = (1 - alpha) * posterior + alpha * (5 * torch.tanh(mean / 5) + sigma * noise.of(i))
        state = group.merge(state, group.flow(mixed))
    expected = model.pixels(model.decoder.finish(state)).mean()
    close(generator.blend(generator.encode(images(generator, 2)), noise, alphas).images, expected)


@pytest.mark.parametrize("kept", [0, 1, 2, 99])
def test_late_expansion_equals_early_expansion(generator: HierarchicalGenerator, kept: int) -> None:
    encoding, noise = generator.encode(images(generator, 2)), generator.draw_noise(keys(2, draws=3))
    count = len(generator.latents)
    alphas = [0.0 if i < kept else 0.5 for i in range(count)]
    late, early = generator.blend(encoding, noise, alphas), generator.blend(encoding.repeat(3), noise, alphas)
    assert late.images.shape[0] == 6
    close(late.images, early.images)
    for ours, other in zip(late.latents.values, early.latents.values, strict=True):
        close(ours, other)


def test_alphas_may_be_a_tensor(generator: HierarchicalGenerator) -> None:
    check_tensor_alphas(generator, generator.encode(images(generator, 2)), generator.draw_noise(keys(2, draws=2)))


def test_the_prefix_runs_once_an_image(generator: HierarchicalGenerator) -> None:
    rows: dict[int, int] = {}
    for i, group in enumerate(generator.model.decoder.groups):
        group.enter.register_forward_hook(lambda _, inputs, __, i=i: rows.__setitem__(i, len(inputs[0])))
    count = len(generator.latents)
    alphas = [0.0] * (count - 1) + [1.0]
    for given in (alphas, torch.tensor(alphas), torch.tensor([alphas, alphas])):
        rows.clear()
        generator.blend(generator.encode(images(generator, 2)), generator.draw_noise(keys(2, draws=4)), given)
        assert rows == {**{i: 2 for i in range(count - 1)}, count - 1: 8}


def test_latents_of_two_images_can_be_exchanged(generator: HierarchicalGenerator) -> None:
    pair = generator.encode(images(generator, 2))
    count = len(generator.latents)
    other = generator.blend(pair, pair[[1, 0]], [1.0] * count)
    close(other.images, generator.blend(pair[[1, 0]], pair, [0.0] * count).images)
    close(generator.blend(pair, pair, [0.3] * count).images, generator.blend(pair, pair, [0.0] * count).images)


def test_rows_do_not_influence_each_other(generator: HierarchicalGenerator) -> None:
    all_keys, batch = keys(3, draws=2), images(generator, 3)
    together = generator.blend(generator.encode(batch), generator.draw_noise(all_keys), ramp(generator)).images
    for row in range(3):
        rows = slice(2 * row, 2 * row + 2)
        encoding = generator.encode(batch[row : row + 1])
        alone = generator.blend(encoding, generator.draw_noise(all_keys[rows]), ramp(generator)).images
        close(alone, together[rows])


def test_noise_is_a_function_of_the_keys_alone(generator: HierarchicalGenerator) -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first = generator.draw_noise(keys(2))
    generator.blend(generator.encode(images(generator, 2)), first, ramp(generator))
    generator.generate(first)
    assert torch.equal(torch.get_rng_state(), before)
    again, other = generator.draw_noise(keys(2)), generator.draw_noise(keys(2, seed=1))
    assert all(torch.equal(a, b) for a, b in zip(first.values, again.values, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(first.values, other.values, strict=True))


def test_to_noise_inverts_to_latents(generator: HierarchicalGenerator) -> None:
    noise = generator.draw_noise(keys(3))
    back = generator.to_noise(generator.to_latents(noise))
    for ours, other in zip(back.values, noise.values, strict=True):
        close(ours, other, depth=GRADIENT)


def test_temperature_scales_the_first_latent(generator: HierarchicalGenerator) -> None:
    noise = generator.draw_noise(keys(2))
    hot, cold = (generator.with_sampling(temperature=t).to_latents(noise).values[0] for t in (1.0, 0.25))
    close(hot, 4 * cold)


def test_sampled_pixels_use_the_nuisances(generator: HierarchicalGenerator) -> None:
    sampler = generator.with_sampling(likelihood="sample")
    noise = sampler.draw_noise(keys(2, draws=2))
    assert set(noise.nuisance) == {spec.name for spec in sampler.nuisances} == {"gumbel", "logistic"}
    assert generator.nuisances == () and generator.draw_noise(keys(1)).nuisance == {}
    blended = sampler.blend(sampler.encode(images(sampler, 2)), noise, [0.0] * len(sampler.latents))
    assert not torch.equal(blended.images[0], blended.images[1])
    close(sampler.decode(blended.latents), blended.images)
    with pytest.raises(InputError, match="needs the nuisance 'gumbel'"):
        sampler.generate(generator.draw_noise(keys(2)))


def test_input_gradient_against_finite_differences(tiny: NVAEArchitecture, awake: Callable[..., NVAE]) -> None:
    generator = HierarchicalGenerator(
        awake(tiny.model_copy(update={"flows": 1})).double(), sampling=HierarchicalSampling(0.7)
    )
    noise = generator.draw_noise(keys(1, draws=2))
    batch = images(generator, 1).double().requires_grad_()
    direction = torch.randn(batch.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    alphas = [0.0, 0.4, 0.8]

    def loss(shift: float) -> Tensor:
        return generator.blend(generator.encode(batch + shift * direction), noise, alphas).images.square().sum()

    (gradient,) = torch.autograd.grad(loss(0.0), batch)
    with torch.no_grad():
        slope = (loss(1e-5) - loss(-1e-5)) / 2e-5
    assert (gradient * direction).sum().item() == pytest.approx(slope.item(), rel=1e-6)
    assert slope.abs() > 1e-6


def test_refusals(generator: HierarchicalGenerator) -> None:
    encoding, noise = generator.encode(images(generator, 2)), generator.draw_noise(keys(2))
    count = len(generator.latents)
    with pytest.raises(ConfigError, match=f"has {count} latents, got 1 alphas"):
        generator.blend(encoding, noise, [0.0])
    with pytest.raises(ConfigError, match=r"alphas must be in \[0, 1\]"):
        generator.blend(encoding, noise, [1.5] * count)
    with pytest.raises(InputError, match="3 rows of noise for 2 encoded images"):
        generator.blend(encoding, generator.draw_noise(keys(3)), [0.0] * count)
    with pytest.raises(InputError, match="images for nvae: expected float32"):
        generator.encode(torch.rand(1, 1, 8, 8))
    with pytest.raises(ConfigError, match="unknown sampling option of nvae 'psi'"):
        generator.with_sampling(psi=0.7)
    with pytest.raises(ConfigError, match="temperature must be in"):
        generator.with_sampling(temperature=3.0)
    with pytest.raises(ConfigError, match="no tied noise"):
        generator.draw_noise(keys(1), tied=True)
    with pytest.raises(ConfigError, match="temperature 0 has no inverse"):
        generator.with_sampling(temperature=0.0).to_noise(generator.to_latents(noise))


def test_rows_of_an_encoding(generator: HierarchicalGenerator) -> None:
    encoding = generator.encode(images(generator, 3))
    assert len(encoding) == 3 and len(encoding[torch.tensor([True, False, True])]) == 2
    repeated = encoding.repeat(2)
    for feature, original in zip(repeated.features, encoding.features, strict=True):
        assert torch.equal(feature, torch.repeat_interleave(original, 2, 0))


def test_moving_keeps_the_function(generator: HierarchicalGenerator) -> None:
    moved = generator.to("cpu")
    noise: Noise = generator.draw_noise(keys(1)).to("cpu")
    close(moved.generate(noise), generator.generate(noise))
    assert moved.device.type == "cpu"
