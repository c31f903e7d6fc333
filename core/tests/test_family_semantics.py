"""What is special to a family: nuisances, conditions, truncation, temperature, and closed forms."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from families import FAMILIES, BigGANDeepLike, BigGANLike, LinearGaussian, StyleGANLike, VDVAELike
from family import Family
from mlvgm.errors import ConfigError, InputError
from mlvgm.latents import Latents
from mlvgm.noise import Keys
from mlvgm.protocols.generator import Conditional
from tolerance import close

conditional = pytest.mark.parametrize("generator", [BigGANLike(), BigGANDeepLike()], ids=["BigGAN", "BigGAN-deep"])


def keys(samples: int, draws: int = 1, seed: int = 0) -> Keys:
    return Keys.of(seed=seed, purpose="test", samples=range(samples), draws=range(draws))


def images(generator: Family, rows: int) -> Tensor:
    return torch.rand(rows, *generator.encoder_image.shape, generator=torch.Generator().manual_seed(1))


def test_nuisances_are_off_by_default_and_belong_to_the_keys_when_on() -> None:
    assert all(family().nuisances == () for family in FAMILIES)
    default, drawn = StyleGANLike(), StyleGANLike().with_sampling(noise_mode="random")
    noise, again, other = (drawn.draw_noise(keys(2, seed=seed)) for seed in (0, 0, 1))
    assert len(drawn.nuisances) == 4 and default.draw_noise(keys(2)).nuisance == {}
    close(drawn.generate(noise), drawn.generate(again))
    assert (drawn.generate(noise) - drawn.generate(replace(noise, nuisance=other.nuisance))).abs().max() > 1e-3
    blended = drawn.blend(drawn.encode(images(drawn, 1)), noise, [0.0] * 4)
    assert (blended.images[0] - blended.images[1]).abs().max() > 1e-3
    with pytest.raises(InputError, match="needs the nuisance noise0"):
        drawn.generate(default.draw_noise(keys(2)))
    silent = default.with_sampling(noise_mode="none")
    assert (silent.generate(noise) - default.generate(noise)).abs().max() > 1e-3


@conditional
def test_the_condition_follows_its_row(generator: BigGANLike) -> None:
    assert isinstance(generator, Conditional) and not isinstance(StyleGANLike(), Conditional)
    noise = generator.draw_noise(keys(40))
    assert noise.condition is not None and torch.equal(noise.condition, generator.draw_condition(keys(40)))
    table = generator.embed_classes(torch.arange(generator.classes))
    number = (noise.condition[:, None] == table).all(2).int().argmax(1)
    assert torch.equal(table[number], noise.condition) and len(set(number.tolist())) == generator.classes
    fixed = replace(noise, condition=generator.embed_classes(torch.full((40,), 3)))
    same = number == 3
    moved = (generator.generate(fixed) - generator.generate(noise)).flatten(1).abs().amax(1)
    assert moved[same].max() < 1e-6 and moved[~same].min() > 1e-4
    halfway = generator.generate(replace(noise, condition=(fixed.condition + noise.condition) / 2))  # type: ignore[operator]
    assert (halfway - generator.generate(noise))[~same].abs().max() > 1e-4


@conditional
def test_the_condition_of_a_blend_is_read_from_the_image(generator: BigGANLike) -> None:
    encoding, noise = generator.encode(images(generator, 2)), generator.draw_noise(keys(2, draws=2))
    elsewhere = replace(noise, condition=generator.embed_classes(torch.tensor([0, 1, 2, 3])))
    blended = generator.blend(encoding, noise, (0.0, 0.5, 1.0))
    close(blended.images, generator.blend(encoding, elsewhere, (0.0, 0.5, 1.0)).images)
    condition = blended.latents.condition
    assert condition is not None and torch.equal(condition[0], condition[1])
    exchanged = generator.blend(encoding, encoding[[1, 0]], [1.0] * 3)
    close(exchanged.latents.condition[0], condition[0])  # type: ignore[index]


@conditional
def test_conditions_are_checked(generator: BigGANLike) -> None:
    with pytest.raises(InputError, match="needs a condition"):
        generator.generate(replace(generator.draw_noise(keys(2)), condition=None))
    with pytest.raises(InputError, match="expected classes in"):
        generator.embed_classes(torch.tensor([0, 5]))


def test_latents_that_no_noise_makes_are_refused() -> None:
    truncated, cold = BigGANLike().with_sampling(truncation=0.8), VDVAELike().with_sampling(temperature=0.0)
    with pytest.raises(InputError, match="beyond truncation"):
        truncated.to_noise(Latents((torch.ones(1, 4),) * 3))
    with pytest.raises(ConfigError, match="no inverse"):
        cold.to_noise(cold.to_latents(cold.draw_noise(keys(1))))


def test_linear_gaussian_samples_have_their_covariance() -> None:
    generator = LinearGaussian()
    samples = generator.generate(generator.draw_noise(keys(100, draws=100))).flatten(1).double()
    scale = torch.cat([torch.full((n,), s) for n, s in zip(generator.blocks, generator.scales, strict=True)]).double()
    basis = generator.basis.double()
    expected = basis @ torch.diag(scale**2) @ basis.T
    deviation = expected.diagonal().sqrt()
    assert ((samples.mean(0) - 0.5) / deviation).abs().max() < 5 / 100
    error = (samples.T.cov() - expected).abs() / torch.outer(deviation, deviation)
    assert error.max() < 5 * 2**0.5 / 100  # standard error of a normal covariance is at most √2 σσ' / √n


def test_psi_shrinks_towards_the_mean_style_up_to_the_cutoff() -> None:
    generator = StyleGANLike()
    noise = generator.draw_noise(keys(3))
    plain = generator.to_latents(noise).values
    psi = generator.with_sampling(psi=0.3, cutoff=2).to_latents(noise).values
    for i in range(4):
        close(psi[i] - generator.mean, (0.3 if i < 2 else 1.0) * (plain[i] - generator.mean))
    shrunk = generator.with_sampling(psi=0.0)
    assert len({tuple(row) for row in shrunk.generate(noise).flatten(1).tolist()}) == 1
    blended = shrunk.blend(shrunk.encode(images(shrunk, 3)), noise, [0.0] * 4)  # encoded styles are not truncated
    assert (blended.images[0] - blended.images[1]).abs().max() > 1e-3


def test_scaling_z_before_pixel_norm_does_nothing() -> None:
    generator = StyleGANLike()
    noise = generator.draw_noise(keys(3))
    close(generator.generate(replace(noise, values=(0.8 * noise.values[0],))), generator.generate(noise))


def test_truncation_maps_noise_to_the_truncated_normal() -> None:
    t = torch.tensor(0.8, dtype=torch.float64)
    generator = BigGANLike().with_sampling(truncation=float(t))
    z = torch.cat(generator.to_latents(generator.draw_noise(keys(3000))).values, 1).double()
    share = torch.special.ndtr(t) - torch.special.ndtr(-t)
    density = torch.exp(-(t**2) / 2) / (2 * torch.pi) ** 0.5
    assert z.abs().max() <= t and z.abs().max() > 0.99 * t
    assert abs(float(z.var() - (1 - 2 * t * density / share))) < 5 * float(z.square().std()) / z.numel() ** 0.5


def test_temperature_scales_what_the_prior_adds() -> None:
    noise = VDVAELike().draw_noise(keys(2))
    mean, half, whole = (VDVAELike().with_sampling(temperature=t).to_latents(noise).values[0] for t in (0.0, 0.5, 1.0))
    close(whole - mean, 2 * (half - mean))
