"""The generator contract holds for every family: what must be true of all of them, whatever the network."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from families import FAMILIES, BigGANDeepLike, BigGANLike, LinearGaussian, StyleGANLike, VDVAELike
from family import Family
from mlvgm.errors import ConfigError, InputError
from mlvgm.latents import Latents
from mlvgm.noise import Keys, Noise
from mlvgm.protocols.generator import Encodes, Encoding, Inverts
from tolerance import GRADIENT, close

GENERATORS = {
    **{family.__name__: family() for family in FAMILIES},
    "StyleGANLike psi": StyleGANLike().with_sampling(psi=0.6, cutoff=3),
    "StyleGANLike random": StyleGANLike().with_sampling(noise_mode="random"),
    "BigGANLike truncated": BigGANLike().with_sampling(truncation=0.8),
    "VDVAELike cold": VDVAELike().with_sampling(temperature=0.5),
}
every = pytest.mark.parametrize("generator", GENERATORS.values(), ids=GENERATORS.keys())


def keys(samples: int, draws: int = 1, seed: int = 0, purpose: str = "test") -> Keys:
    return Keys.of(seed=seed, purpose=purpose, samples=range(samples), draws=range(draws))


def images(generator: Family, rows: int) -> Tensor:
    return torch.rand(rows, *generator.encoder_image.shape, generator=torch.Generator().manual_seed(1))


def ramp(generator: Family) -> list[float]:
    count = len(generator.latents)
    return [i / (count - 1) for i in range(count)]


def fitted(generator: Family, made: Tensor) -> Tensor:
    """Images the generator makes, at the size its encoder takes."""
    return adaptive_avg_pool2d(made, generator.encoder_image.shape[1:])


def all_close(ours: Latents, other: Latents) -> None:
    for first, second in zip(ours.values, other.values, strict=True):
        close(first, second)


@every
def test_specs_name_what_is_drawn(generator: Family) -> None:
    assert isinstance(generator, Encodes) and isinstance(generator.encode(images(generator, 1)), Encoding)
    names = [spec.name for spec in (*generator.latents, *generator.nuisances)]
    assert len(set(names)) == len(names)
    noise = generator.draw_noise(keys(2))
    latents = generator.to_latents(noise)
    for i, spec in enumerate(generator.latents):
        assert noise.of(i).shape == (2, *spec.noise_shape) and latents.values[i].shape == (2, *spec.shape)
    assert {name: value.shape[1:] for name, value in noise.nuisance.items()} == {
        spec.name: spec.shape for spec in generator.nuisances
    }
    assert generator.decode(latents).shape == (2, *generator.image.shape)


@every
def test_generate_is_decode_of_to_latents(generator: Family) -> None:
    noise = generator.draw_noise(keys(3))
    close(generator.generate(noise), generator.decode(generator.to_latents(noise)))
    assert (generator.generate(noise)[0] - generator.generate(noise)[1]).abs().max() > 1e-3


@every
def test_rows_do_not_influence_each_other(generator: Family) -> None:
    noise, rows = generator.draw_noise(keys(4)), [2, 0]
    close(generator.generate(noise[rows]), generator.generate(noise)[rows])
    close(generator.decode(generator.to_latents(noise)[rows]), generator.generate(noise)[rows])
    encoding = generator.encode(images(generator, 4))
    together = generator.blend(encoding, noise, ramp(generator)).images
    close(generator.blend(encoding[rows], noise[rows], ramp(generator)).images, together[rows])
    close(
        generator.blend(generator.encode(images(generator, 4)[rows]), noise[rows], ramp(generator)).images,
        together[rows],
    )


def tensors(noise: Noise) -> list[Tensor]:
    return [*noise.values, *noise.nuisance.values(), *([] if noise.condition is None else [noise.condition])]


@every
@pytest.mark.parametrize("tied", [None, False])
def test_noise_is_a_function_of_the_keys_alone(generator: Family, tied: bool | None) -> None:
    torch.manual_seed(0)
    before, rows = torch.get_rng_state(), torch.tensor([5, 1])
    whole = generator.draw_noise(keys(3, draws=2), tied=tied)
    part = generator.draw_noise(keys(3, draws=2)[rows], tied=tied)
    other = generator.draw_noise(keys(3, draws=2, purpose="other"), tied=tied)
    for first, second, third in zip(tensors(whole[rows]), tensors(part), tensors(other[rows]), strict=True):
        assert torch.equal(first, second) and not torch.equal(first, third)
    generator.blend(generator.encode(images(generator, 3)), whole, ramp(generator))
    generator.generate(whole)
    assert torch.equal(torch.get_rng_state(), before)


@every
def test_ordinary_sampling_ties_only_where_the_family_does(generator: Family) -> None:
    count = len(generator.latents)
    untied = generator.draw_noise(keys(2), tied=False)
    assert untied.source == tuple(range(count))
    assert not torch.isclose(untied.of(0).flatten(1)[:, :2], untied.of(1).flatten(1)[:, :2]).any()
    ordinary = generator.draw_noise(keys(2))
    if not isinstance(generator, StyleGANLike | BigGANDeepLike):
        assert ordinary.source == untied.source
        with pytest.raises(ConfigError, match="no tied noise"):
            generator.draw_noise(keys(2), tied=True)
        return
    assert len(ordinary.values) == 1 and ordinary.source == (0,) * count
    assert torch.equal(ordinary.values[0], generator.draw_noise(keys(2), tied=True).values[0])
    copies = replace(ordinary, values=ordinary.values * count, source=tuple(range(count)))
    close(generator.generate(ordinary), generator.generate(copies))
    assert (generator.generate(ordinary) - generator.generate(untied)).abs().max() > 1e-3


@every
def test_noise_reaches_its_own_latent_and_finer_ones_only(generator: Family) -> None:
    noise, other = (generator.draw_noise(keys(2, seed=seed), tied=False) for seed in (0, 1))
    before = generator.to_latents(noise)
    for i in range(len(generator.latents)):
        walked = replace(noise, values=(*noise.values[:i], other.values[i], *noise.values[i + 1 :]))
        after = generator.to_latents(walked)
        changed = [not torch.equal(a, b) for a, b in zip(before.values, after.values, strict=True)]
        finer = [isinstance(generator, VDVAELike)] * (len(changed) - i - 1)
        assert changed == [False] * i + [True] + finer
        moved = generator.decode(before.replaced([i], after)) - generator.decode(before)
        assert moved.flatten(1).abs().amax(1).min() > 1e-4


@every
def test_alpha_0_reconstructs_whatever_the_source(generator: Family) -> None:
    x, count = images(generator, 2), len(generator.latents)
    encoding, zeros = generator.encode(x), [0.0] * count
    first, second = (generator.draw_noise(keys(2, draws=3, seed=seed)) for seed in (0, 1))
    blended = generator.blend(encoding, first, zeros)
    close(blended.images, generator.blend(encoding, replace(second, nuisance=first.nuisance), zeros).images)
    if not isinstance(generator, VDVAELike):
        all_close(blended.latents, Latents(encoding.repeat(3).values))
    if isinstance(generator, LinearGaussian):
        close(blended.images, x.repeat_interleave(3, 0))


@every
def test_alpha_1_samples_under_the_condition_of_the_image(generator: Family) -> None:
    noise = generator.draw_noise(keys(2, draws=3), tied=False)
    blended = generator.blend(generator.encode(images(generator, 2)), noise, [1.0] * len(generator.latents))
    sampled = generator.generate(replace(noise, condition=blended.latents.condition))
    close(blended.images, fitted(generator, sampled))
    all_close(blended.latents, generator.to_latents(noise))


@every
def test_draws_are_image_major_and_the_latents_make_the_images(generator: Family) -> None:
    encoding, noise = generator.encode(images(generator, 2)), generator.draw_noise(keys(2, draws=3), tied=False)
    blended = generator.blend(encoding, noise, ramp(generator))
    assert blended.images.shape == (6, *generator.encoder_image.shape) and len(blended.latents) == 6
    close(blended.images, fitted(generator, generator.decode(blended.latents)))
    for row in range(6):
        image = slice(row // 3, row // 3 + 1)
        close(generator.blend(encoding[image], noise[[row]], ramp(generator)).images, blended.images[[row]])


@every
@pytest.mark.parametrize("pattern", ["keep 0", "keep 1", "keep 2", "keep all", "coarse only", "middle kept"])
def test_late_expansion_equals_early_expansion(generator: Family, pattern: str) -> None:
    count = len(generator.latents)
    kept = {"keep 0": 0, "keep 1": 1, "keep 2": 2, "keep all": count}.get(pattern, 0)
    alphas = [0.0 if i < kept else 0.7 for i in range(count)]
    if pattern == "coarse only":
        alphas = [1.0] + [0.0] * (count - 1)
    if pattern == "middle kept":
        alphas = [0.3, *[0.0] * (count - 2), 0.6]
    encoding, noise = generator.encode(images(generator, 2)), generator.draw_noise(keys(2, draws=3), tied=False)
    generator.rows.clear()
    late = generator.blend(encoding, noise, alphas)
    if not generator.nuisances:
        assert generator.rows[:kept] == [2] * kept
    early = generator.blend(encoding.repeat(3), noise, alphas)
    close(late.images, early.images)
    all_close(late.latents, early.latents)


@every
def test_latents_of_two_images_are_exchanged(generator: Family) -> None:
    if generator.nuisances:
        with pytest.raises(InputError, match="nuisance"):
            generator.blend(
                generator.encode(images(generator, 2)), generator.encode(images(generator, 2)), ramp(generator)
            )
        return
    count = len(generator.latents)
    ours = generator.encode(images(generator, 2))
    theirs = ours[[1, 0]]
    whole = generator.blend(ours, theirs, [1.0] * count).latents
    all_close(whole, generator.blend(theirs, ours, [0.0] * count).latents)
    close(generator.blend(ours, ours, [0.3] * count).images, generator.blend(ours, ours, [0.0] * count).images)
    fine = generator.blend(ours, theirs, [0.0] * (count - 1) + [1.0])
    kept = generator.blend(ours, ours, [0.0] * count)
    for i in range(count - 1):
        close(fine.latents.values[i], kept.latents.values[i])
    assert (fine.latents.values[-1] - kept.latents.values[-1]).abs().max() > 1e-3
    assert (fine.images - kept.images).abs().max() > 1e-4


@every
def test_options_the_family_lacks_are_refused(generator: Family) -> None:
    for options in ({"nosuch": 1}, {"temperature": 0.7, "psi": 0.7}):
        with pytest.raises(ConfigError, match="unknown sampling option"):
            generator.with_sampling(**options)
    assert generator.with_sampling().sampling == generator.sampling


@every
def test_to_noise_inverts_to_latents(generator: Family) -> None:
    if isinstance(generator, StyleGANLike):
        assert not isinstance(generator, Inverts)  # a mapping network has no inverse
        return
    assert isinstance(generator, Inverts)
    noise = generator.draw_noise(keys(3))
    latents = generator.to_latents(noise)
    back = generator.to_noise(latents)
    for i in range(len(generator.latents)):
        close(back.of(i), noise.of(i), depth=GRADIENT)
    all_close(generator.to_latents(back), latents)
    close(generator.generate(back), generator.generate(noise))


@every
def test_gradients_equal_finite_differences(generator: Family) -> None:
    noise = generator.draw_noise(keys(1, draws=2), tied=False)
    alphas = [0.2 + 0.6 * alpha for alpha in ramp(generator)]
    x = images(generator, 1).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: generator.blend(generator.encode(x), noise, alphas).images, x)
    leaves = tuple(value.double().requires_grad_() for value in noise.values)
    assert torch.autograd.gradcheck(lambda *values: generator.generate(replace(noise, values=values)), leaves)
    if noise.condition is not None:
        leaf = noise.condition.double().requires_grad_()
        assert torch.autograd.gradcheck(lambda c: generator.generate(replace(noise, condition=c)), leaf)


@every
def test_alphas_and_rows_are_checked(generator: Family) -> None:
    encoding, count = generator.encode(images(generator, 2)), len(generator.latents)
    for alphas in ([0.5] * (count + 1), [1.5] * count):
        with pytest.raises(ConfigError, match="alphas"):
            generator.blend(encoding, generator.draw_noise(keys(2)), alphas)
    with pytest.raises(InputError, match="3 rows of noise for 2"):
        generator.blend(encoding, generator.draw_noise(keys(3)), ramp(generator))
