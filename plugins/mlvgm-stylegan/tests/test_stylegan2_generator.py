"""StyleGAN2 behind the generator protocol: the properties of every family, and what is its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d

import test_families as families
from blended_alphas import check_tensor_alphas
from mlvgm.errors import ConfigError, InputError
from mlvgm.latents import ImageSpec
from mlvgm.noise import Keys, Noise
from mlvgm.protocols.generator import Conditional, Encodes
from mlvgm_stylegan.stylegan2.architecture import StyleGAN2Architecture
from mlvgm_stylegan.stylegan2.fold import fold
from mlvgm_stylegan.stylegan2.generator import (
    ConditionalStyleGAN2,
    EncodingStyleGAN2,
    StyleGAN2Generator,
    StyleGAN2Sampling,
)
from mlvgm_stylegan.stylegan2.network import StyleGAN2, build

TINY = StyleGAN2Architecture(z_dim=5, w_dim=6, channels=(6, 5, 4), image_channels=2, mapping_layers=2)


class Halving(nn.Module):
    """An encoder of half the generator's size, linear in the image."""

    def __init__(self, architecture: StyleGAN2Architecture) -> None:
        super().__init__()
        side, a = architecture.resolution // 2, architecture
        self.image = ImageSpec(a.image_channels, side, side)
        weight = torch.randn(a.image_channels * side**2, a.num_ws, a.w_dim, generator=torch.Generator().manual_seed(2))
        self.register_buffer("weight", weight / side)

    def encode(self, images: Tensor) -> Tensor:
        return torch.einsum("bi,iwd->bwd", images.flatten(1), self.weight)

    def restore(self, images: Tensor) -> Tensor:
        return adaptive_avg_pool2d(images, self.image.height)


class Watched(EncodingStyleGAN2):
    """Notes how many rows each convolution computed."""

    rows: list[int]


def awake(architecture: StyleGAN2Architecture) -> StyleGAN2:
    """A fresh network in which noise, biases and the average style matter."""
    model = build(architecture, seed=0)
    random = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if name.endswith(("noise_strength", "average", "bias")):
                tensor.add_(0.3 * torch.randn(tensor.shape, generator=random))
    return model


def watched(architecture: StyleGAN2Architecture = TINY, **options: object) -> Watched:
    model = fold(awake(architecture))
    generator = Watched(model, Halving(architecture), sampling=StyleGAN2Sampling(**options))
    rows = generator.rows = []
    for layer in model.synthesis.layers:
        layer.register_forward_hook(lambda module, arguments, output: rows.append(len(output)))
    return generator


GENERATORS = {
    "skip": watched(),
    "residual": watched(TINY.model_copy(update={"output": "resnet"})),
    "last block": watched(TINY.model_copy(update={"output": "orig"})),
    "psi": watched(psi=0.6, cutoff=3),
    "random noise": watched(noise_mode="random"),
    "no noise": watched(noise_mode="none"),
}
every = pytest.mark.parametrize("generator", GENERATORS.values(), ids=GENERATORS.keys())

PROPERTIES = (
    families.test_specs_name_what_is_drawn,
    families.test_generate_is_decode_of_to_latents,
    families.test_rows_do_not_influence_each_other,
    families.test_noise_reaches_its_own_latent_and_finer_ones_only,
    families.test_alpha_1_samples_under_the_condition_of_the_image,
    families.test_draws_are_image_major_and_the_latents_make_the_images,
    families.test_latents_of_two_images_are_exchanged,
    families.test_options_the_family_lacks_are_refused,
    families.test_alphas_and_rows_are_checked,
)


@every
@pytest.mark.parametrize("holds", PROPERTIES, ids=[check.__name__.removeprefix("test_") for check in PROPERTIES])
def test_properties_of_every_family(holds: Callable[..., None], generator: Watched) -> None:
    holds(generator)


@every
@pytest.mark.parametrize("tied", [None, False])
def test_noise_is_a_function_of_the_keys_alone(generator: Watched, tied: bool | None) -> None:
    families.test_noise_is_a_function_of_the_keys_alone(generator, tied)


@every
@pytest.mark.parametrize("pattern", ["keep 0", "keep 1", "keep 2", "coarse only", "middle kept"])
def test_late_expansion_equals_early_expansion(generator: Watched, pattern: str) -> None:
    """And the convolutions before the first fresh style see one row an image."""
    families.test_late_expansion_equals_early_expansion(generator, pattern)


@every
def test_alpha_0_reconstructs_whatever_the_source(generator: Watched) -> None:
    encoding = generator.encode(families.images(generator, 2))
    first, second = (generator.draw_noise(families.keys(2, draws=3, seed=seed)) for seed in (0, 1))
    blended = generator.blend(encoding, first, [0.0] * 6)
    again = generator.blend(encoding, replace(second, nuisance=first.nuisance), [0.0] * 6)
    families.close(blended.images, again.images)
    assert torch.equal(torch.stack(blended.latents.values, 1), torch.stack(encoding.repeat(3).values, 1))


@every
def test_alphas_may_be_a_tensor(generator: Watched) -> None:
    if not generator.nuisances:
        noise = generator.draw_noise(families.keys(2, draws=2), tied=False)
        check_tensor_alphas(generator, generator.encode(families.images(generator, 2)), noise)


def test_prefix_is_computed_once_an_image() -> None:
    generator = GENERATORS["skip"]
    encoding = generator.encode(families.images(generator, 2))
    noise = generator.draw_noise(families.keys(2, draws=3), tied=False)
    for kept, rows in {3: [2, 2, 2, 6, 6], 5: [2, 2, 2, 2, 2], 0: [6, 6, 6, 6, 6]}.items():
        generator.rows.clear()
        assert len(generator.blend(encoding, noise, [0.0] * kept + [1.0] * (6 - kept)).images) == 6
        assert generator.rows == rows
    drawn = GENERATORS["random noise"]
    drawn.rows.clear()
    drawn.blend(encoding, drawn.draw_noise(families.keys(2, draws=3)), [0.0] * 6)
    assert drawn.rows == [6, 6, 6, 6, 6]


@every
def test_ordinary_sampling_ties(generator: Watched) -> None:
    ordinary, untied = (generator.draw_noise(families.keys(3), tied=tied) for tied in (None, False))
    assert len(ordinary.values) == 1 and ordinary.source == (0,) * 6
    assert untied.source == tuple(range(6)) and not torch.equal(untied.of(0), untied.of(1))
    assert torch.equal(ordinary.of(0), generator.draw_noise(families.keys(3), tied=True).of(0))
    copies = replace(ordinary, values=ordinary.values * 6, source=tuple(range(6)))
    families.close(generator.generate(ordinary), generator.generate(copies))


def test_each_distinct_z_is_mapped_once() -> None:
    generator, calls = watched(), []
    generator.model.mapping.register_forward_hook(lambda *_: calls.append(1))
    generator.to_latents(generator.draw_noise(families.keys(2)))
    assert len(calls) == 1
    untied = generator.draw_noise(families.keys(2), tied=False)
    generator.to_latents(replace(untied, source=(0, 0, 2, 2, 2, 0)))
    assert len(calls) == 3


def test_truncation_pulls_coarse_styles_to_the_average() -> None:
    generator = watched()
    noise, average = generator.draw_noise(families.keys(2)), generator.model.mapping.average
    full = generator.to_latents(noise).values
    cut = generator.with_sampling(psi=0.25, cutoff=2).to_latents(noise).values
    for layer in range(6):
        expected = average + 0.25 * (full[layer] - average) if layer < 2 else full[layer]
        families.close(cut[layer], expected)
    for style in generator.with_sampling(psi=0.0).to_latents(noise).values:
        families.close(style, average.expand(2, -1))
    assert torch.equal(generator.with_sampling(psi=0.1, cutoff=0).to_latents(noise).values[0], full[0])


def test_truncation_leaves_encoded_styles_alone() -> None:
    generator = watched(psi=0.3)
    encoding = generator.encode(families.images(generator, 2))
    blended = generator.blend(encoding, generator.draw_noise(families.keys(2)), [0.0] * 6)
    assert torch.equal(torch.stack(blended.latents.values, 1), torch.stack(encoding.values, 1))


def test_gradients_equal_finite_differences() -> None:
    model = fold(awake(TINY)).double()
    generator = EncodingStyleGAN2(model, Halving(TINY).double()).with_sampling(psi=0.7)
    noise = generator.draw_noise(families.keys(1, draws=2), tied=False)
    noise = Noise(tuple(value.double() for value in noise.values), noise.source)
    x = families.images(generator, 1).double().requires_grad_()
    alphas = [0.0, 0.0, 0.3, 0.5, 0.7, 0.2]
    assert torch.autograd.gradcheck(
        lambda x: generator.blend(generator.encode(x), noise, alphas).images, x, fast_mode=True
    )
    leaves = tuple(value.requires_grad_() for value in noise.values)
    assert torch.autograd.gradcheck(
        lambda *values: generator.generate(replace(noise, values=values)), leaves, fast_mode=True
    )


def test_noise_that_is_missing_is_an_error() -> None:
    generator = watched()
    noise = generator.draw_noise(families.keys(2))
    with pytest.raises(InputError, match="noise0"):
        generator.with_sampling(noise_mode="random").generate(noise)


def test_values_out_of_range_are_refused() -> None:
    generator = watched()
    for options in ({"psi": float("nan")}, {"cutoff": 7}, {"cutoff": -1}, {"noise_mode": "sometimes"}):
        with pytest.raises(ConfigError):
            generator.with_sampling(**options)
    quiet = StyleGAN2Generator(build(TINY.model_copy(update={"noise": False}), seed=0))
    assert quiet.nuisances == ()
    with pytest.raises(ConfigError, match="no noise images"):
        quiet.with_sampling(noise_mode="random")


def test_images_of_another_size_are_refused() -> None:
    with pytest.raises(InputError, match=r"\(N, 2, 8, 8\)"):
        watched().encode(torch.zeros(1, 2, 16, 16))


def test_only_with_an_encoder_it_encodes() -> None:
    assert isinstance(watched(), Encodes) and not isinstance(StyleGAN2Generator(build(TINY, seed=0)), Encodes)
    assert not isinstance(watched(), Conditional)


def test_moving_copies_generator_and_encoder() -> None:
    generator = watched()
    moved = generator.to("cpu")
    assert moved.model is not generator.model and moved.encoder is not generator.encoder
    noise = generator.draw_noise(families.keys(2))
    assert torch.equal(moved.generate(noise), generator.generate(noise))


CONDITIONAL = TINY.model_copy(update={"classes": 4, "embedding_dim": 3})


def test_conditions_enter_the_mapping() -> None:
    generator = ConditionalStyleGAN2(fold(awake(CONDITIONAL)))
    assert isinstance(generator, Conditional) and generator.classes == 4
    keys = Keys.of(seed=0, purpose="test", samples=range(40))
    noise = generator.draw_noise(keys)
    assert torch.equal(noise.condition, generator.draw_condition(keys)) and noise.condition.shape == (40, 3)
    assert len(noise.condition.unique(dim=0)) == 4
    latents = generator.to_latents(noise)
    assert torch.equal(latents.condition, noise.condition)
    families.close(generator.decode(latents), generator.generate(noise))
    first, second = (generator.embed_classes(torch.tensor([number] * 40)) for number in (0, 1))
    halfway = generator.to_latents(replace(noise, condition=(first + second) / 2)).values[0]
    for condition in (first, second):
        assert (generator.to_latents(replace(noise, condition=condition)).values[0] - halfway).abs().max() > 1e-3


def test_classes_and_conditions_are_checked() -> None:
    generator = ConditionalStyleGAN2(build(CONDITIONAL, seed=0))
    for classes in ([4], [-1, 0]):
        with pytest.raises(InputError, match="0 … 3"):
            generator.embed_classes(torch.tensor(classes))
    assert generator.embed_classes(torch.empty(0, dtype=torch.long)).shape == (0, 3)
    noise = generator.draw_noise(families.keys(2))
    with pytest.raises(InputError, match="condition"):
        generator.generate(replace(noise, condition=None))
