"""BigGAN behind the generator protocols: what holds for every family, and what is special to this one."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from small_biggans import GENERATORS, all_close, every, keys, pictures, ramp

from mlvgm.errors import ConfigError, InputError
from mlvgm.noise import Noise
from mlvgm.protocols.generator import Conditional, Encodes, Encoding, Inverts
from mlvgm_biggan.biggan.generator import BigGANGenerator, EncodingBigGANGenerator
from tolerance import GRADIENT, close


@every
def test_specs_and_capabilities(generator: EncodingBigGANGenerator) -> None:
    assert isinstance(generator, Encodes) and isinstance(generator, Conditional) and isinstance(generator, Inverts)
    assert isinstance(generator.encode(pictures(generator, 1)), Encoding)
    assert not isinstance(BigGANGenerator(generator.model), Encodes)
    noise = generator.draw_noise(keys(2))
    latents = generator.to_latents(noise)
    for i, spec in enumerate(generator.latents):
        assert spec.name == f"z{i}" and noise.of(i).shape == latents.values[i].shape == (2, *spec.shape)
        assert spec.shape == spec.noise_shape
    assert generator.decode(latents).shape == (2, *generator.image.shape) == (2, 1, 16, 16)
    assert not any(parameter.requires_grad for parameter in generator.model.parameters())


@every
def test_generate_is_decode_of_to_latents(generator: EncodingBigGANGenerator) -> None:
    noise = generator.draw_noise(keys(3))
    images = generator.generate(noise)
    close(images, generator.decode(generator.to_latents(noise)))
    assert images.min() > 0 and images.max() < 1 and (images[0] - images[1]).abs().max() > 1e-2


@every
def test_rows_do_not_influence_each_other(generator: EncodingBigGANGenerator) -> None:
    noise, rows = generator.draw_noise(keys(4)), [2, 0]
    close(generator.generate(noise[rows]), generator.generate(noise)[rows])
    codes = generator.encode(pictures(generator, 4))
    together = generator.blend(codes, noise, ramp(generator)).images
    close(generator.blend(codes[rows], noise[rows], ramp(generator)).images, together[rows])
    close(
        generator.blend(generator.encode(pictures(generator, 4)[rows]), noise[rows], ramp(generator)).images,
        together[rows],
    )


@every
def test_noise_is_a_function_of_the_keys_alone(generator: EncodingBigGANGenerator) -> None:
    torch.manual_seed(0)
    before, rows = torch.get_rng_state(), torch.tensor([5, 1])
    whole, part = generator.draw_noise(keys(3, draws=2)), generator.draw_noise(keys(3, draws=2)[rows])
    other = generator.draw_noise(keys(3, draws=2, seed=1))
    for first, second, third in zip(whole[rows].values, part.values, other[rows].values, strict=True):
        assert torch.equal(first, second) and not torch.equal(first, third)
    assert torch.equal(whole[rows].condition, part.condition) and not torch.equal(whole.condition, other.condition)
    generator.blend(generator.encode(pictures(generator, 3)), whole, ramp(generator))
    assert torch.equal(torch.get_rng_state(), before)
    assert whole.source == tuple(range(len(generator.latents)))
    with pytest.raises(ConfigError, match="no tied noise"):
        generator.draw_noise(keys(2), tied=True)


@every
def test_each_latent_matters_and_reads_its_own_noise(generator: EncodingBigGANGenerator) -> None:
    noise, other = generator.draw_noise(keys(2)), generator.draw_noise(keys(2, seed=1))
    before = generator.to_latents(noise)
    for i in range(len(generator.latents)):
        after = generator.to_latents(noise.replaced([i], other))
        changed = [not torch.equal(a, b) for a, b in zip(before.values, after.values, strict=True)]
        assert changed == [j == i for j in range(len(changed))]
        moved = generator.decode(before.replaced([i], after)) - generator.decode(before)
        assert moved.flatten(1).abs().amax(1).min() > 1e-3


@every
def test_to_noise_inverts_to_latents(generator: EncodingBigGANGenerator) -> None:
    noise = generator.draw_noise(keys(3))
    latents = generator.to_latents(noise)
    back = generator.to_noise(latents)
    for i in range(len(generator.latents)):
        close(back.of(i), noise.of(i), depth=GRADIENT)
    all_close(generator.to_latents(back), latents)
    close(generator.generate(back), generator.generate(noise))


@every
def test_gradients_equal_finite_differences(generator: EncodingBigGANGenerator) -> None:
    precise = generator.to("cpu")
    precise.model.double()
    precise.encoder.double()
    noise = generator.draw_noise(keys(1, draws=2))
    x = pictures(generator, 1).double().requires_grad_()
    blend = precise.blend
    assert torch.autograd.gradcheck(
        lambda x: blend(precise.encode(x), noise, ramp(generator)).images, x, fast_mode=True
    )
    leaves = tuple(value.double().requires_grad_() for value in (*noise.values, noise.condition))
    assert torch.autograd.gradcheck(
        lambda *leaves: precise.generate(replace(noise, values=leaves[:-1], condition=leaves[-1])),
        leaves,
        fast_mode=True,
    )


@every
def test_the_condition_follows_its_row(generator: EncodingBigGANGenerator) -> None:
    noise = generator.draw_noise(keys(40))
    assert torch.equal(noise.condition, generator.draw_condition(keys(40)))
    table = generator.embed_classes(torch.arange(generator.classes))
    number = (noise.condition[:, None] == table).all(2).int().argmax(1)
    assert torch.equal(table[number], noise.condition) and set(number.tolist()) == set(range(generator.classes))
    fixed = generator.with_sampling(label=3).draw_noise(keys(40))
    assert torch.equal(fixed.condition, table[[3] * 40]) and torch.equal(fixed.values[0], noise.values[0])
    moved = (generator.generate(fixed) - generator.generate(noise)).flatten(1).abs().amax(1)
    assert moved[number == 3].max() < 1e-6 and moved[number != 3].min() > 1e-3


def test_truncated_draws_stay_within_it() -> None:
    generator = GENERATORS["hierarchical"].with_sampling(truncation=0.5)
    values = torch.cat(generator.to_latents(generator.draw_noise(keys(500))).values, 1)
    assert 0.49 < values.abs().max() <= 0.5
    with pytest.raises(InputError, match="beyond truncation"):
        generator.to_noise(generator.with_sampling(truncation=2.0).to_latents(generator.draw_noise(keys(9))))


def test_what_does_not_fit_is_refused() -> None:
    generator = GENERATORS["hierarchical"]
    noise, codes = generator.draw_noise(keys(2)), generator.encode(pictures(generator, 2))
    with pytest.raises(ConfigError, match=r"unknown sampling option of biggan 'psi'.*label, truncation"):
        generator.with_sampling(psi=0.7)
    for options, message in (({"truncation": 0.0}, "positive"), ({"label": 5}, r"0 … 4"), ({"label": -1}, r"0 … 4")):
        with pytest.raises(ConfigError, match=message):
            generator.with_sampling(**options)
    for classes in (torch.tensor([0, 5]), torch.tensor([-1]), torch.tensor([0.5])):
        with pytest.raises(InputError, match="expected classes in 0 … 4"):
            generator.embed_classes(classes)
    with pytest.raises(InputError, match="needs a condition"):
        generator.generate(replace(noise, condition=None))
    for alphas in ([0.5] * 4, [1.5] * 3, [float("nan")] * 3):
        with pytest.raises(ConfigError, match="alphas"):
            generator.blend(codes, noise, alphas)
    with pytest.raises(InputError, match="3 rows of noise for 2"):
        generator.blend(codes, generator.draw_noise(keys(3)), ramp(generator))
    with pytest.raises(InputError, match=r"for biggan: expected float32 \(N, 1, 16, 16\), got .* \(2, 3, 16, 16\)"):
        generator.encode(torch.rand(2, 3, 16, 16))


def test_moving_leaves_the_original_alone() -> None:
    generator = GENERATORS["hierarchical"]
    moved = generator.to("meta")
    assert moved.device.type == "meta" and generator.device.type == "cpu"
    assert next(moved.encoder.parameters()).device.type == "meta" != next(generator.encoder.parameters()).device.type
    assert isinstance(moved.latents, tuple) and isinstance(generator.draw_noise(keys(1)), Noise)
