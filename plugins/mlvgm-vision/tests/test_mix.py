from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from families import FAMILIES, BigGANDeepLike, BigGANLike, LinearGaussian, StyleGANLike, VDVAELike
from family import Family
from mlvgm.errors import ConfigError, InputError
from mlvgm.noise import Keys, Noise
from mlvgm.pictures import _GAP as GAP
from mlvgm.pictures import _HEADER as HEADER
from mlvgm.pictures import write_grid
from mlvgm_vision.mix.mix import mix_images, mix_samples, spread
from tolerance import close

every = pytest.mark.parametrize("generator", [family() for family in FAMILIES], ids=lambda g: type(g).__name__)


def _samples(generator: Family, pairs: int) -> tuple[Noise, Noise]:
    noise = generator.draw_noise(Keys.of(seed=0, purpose="mix", samples=range(2 * pairs)))
    return noise[0::2], noise[1::2]


def _images(generator: Family, rows: int, seed: int) -> Tensor:
    return torch.rand(rows, *generator.encoder_image.shape, generator=torch.Generator().manual_seed(seed))


@every
def test_noise_is_exchanged_latent_by_latent(generator: Family) -> None:
    ours, theirs = _samples(generator, 3)
    count = len(generator.latents)
    for tied in (False, None):
        if tied is not None:
            ours, theirs = (
                generator.draw_noise(Keys.of(seed=s, purpose="x", samples=range(3)), tied=tied) for s in (0, 1)
            )
        for indices in ([], [0], [count - 1], [0, 2], range(count)):
            mixed = ours.replaced(indices, theirs)
            for i in range(count):
                assert torch.equal(mixed.of(i), (theirs if i in indices else ours).of(i))
            assert mixed.condition is ours.condition and mixed.nuisance == ours.nuisance
            both = mixed.replaced([0], theirs)  # exchanged twice
            assert torch.equal(both.of(0), theirs.of(0)) and torch.equal(both.of(count - 1), mixed.of(count - 1))


@every
def test_samples_go_from_a_to_b(generator: Family) -> None:
    ours, theirs = _samples(generator, 3)
    count = len(generator.latents)
    mixed = mix_samples(generator, pairs=3, prefixes=range(count + 1))
    assert mixed.images.shape == (3, count + 3, *generator.image.shape)
    close(mixed.first, generator.generate(ours).clamp(0, 1))
    close(mixed.mixtures[:, 0], mixed.first)
    close(mixed.second, generator.generate(theirs).clamp(0, 1))
    close(mixed.mixtures[:, -1], generator.generate(replace(theirs, condition=ours.condition)).clamp(0, 1))
    if not isinstance(generator, BigGANLike):
        close(mixed.mixtures[:, -1], mixed.second)
    for i in range(count):  # each latent does something
        assert (mixed.mixtures[:, i + 1] - mixed.mixtures[:, i]).flatten(1).abs().amax(1).min() > 1e-5
    default = mix_samples(generator, pairs=3)
    assert default.prefixes == tuple(range(1, count + 1))
    close(default.mixtures, mixed.mixtures[:, 1:])


@every
def test_images_go_from_a_to_b(generator: Family) -> None:
    first, second = _images(generator, 3, 0), _images(generator, 3, 1)
    count = len(generator.latents)
    mixed = mix_images(generator, first, second)
    assert mixed.prefixes == tuple(range(count + 1))
    assert torch.equal(mixed.first, first) and torch.equal(mixed.second, second)
    ours, theirs = generator.encode(first), generator.encode(second)
    close(mixed.mixtures[:, 0], generator.blend(ours, ours, [0.0] * count).images.clamp(0, 1))
    if not isinstance(generator, BigGANLike):  # there the condition stays that of A
        close(mixed.mixtures[:, -1], generator.blend(theirs, theirs, [0.0] * count).images.clamp(0, 1))
    kept = generator.blend(ours, theirs, [1.0] + [0.0] * (count - 1)).images
    close(mixed.mixtures[:, 1], kept.clamp(0, 1))


@every
def test_pairs_do_not_influence_each_other(generator: Family) -> None:
    few, many = (mix_samples(generator, pairs=pairs, seed=3) for pairs in (2, 5))
    close(many.images[:2], few.images)
    assert (mix_samples(generator, pairs=2).images - few.images).abs().max() > 1e-3  # the seed decides
    first, second = _images(generator, 4, 0), _images(generator, 4, 1)
    alone = mix_images(generator, first[2:3], second[2:3])
    close(mix_images(generator, first, second).images[2:3], alone.images)


def test_what_is_left_of_a_linear_gaussian_is_the_energy_of_its_latents() -> None:
    """x = ½ + Σ U_i z_i with orthonormal U: each exchange changes ‖z_i^A − z_i^B‖² and nothing else."""

    class Small(LinearGaussian):
        scales = (0.06, 0.04, 0.02)  # no pixel leaves [0, 1]

    generator = Small()
    mixed = mix_samples(generator, pairs=50)
    ours, theirs = (generator.to_latents(noise).values for noise in _samples(generator, 50))
    energy = [float((a - b).square().sum(1).mean() / 16) for a, b in zip(ours, theirs, strict=True)]
    assert mixed.changes == pytest.approx(energy, rel=1e-4)
    assert mixed.left == pytest.approx([energy[1] + energy[2], energy[2], 0], rel=1e-4, abs=1e-9)
    coarse = mix_samples(generator, pairs=50, prefixes=[2])
    assert coarse.changes == pytest.approx([energy[0] + energy[1]], rel=1e-4)


def test_nuisances_stay_those_of_a() -> None:
    generator = StyleGANLike().with_sampling(noise_mode="random")
    mixed = mix_samples(generator, pairs=2)
    ours, theirs = _samples(generator, 2)
    close(mixed.mixtures[:, -1], generator.generate(replace(theirs, nuisance=ours.nuisance)).clamp(0, 1))
    assert (mixed.mixtures[:, -1] - mixed.second).abs().max() > 1e-3
    with pytest.raises(InputError, match="nuisance"):
        mix_images(generator, _images(generator, 2, 0), _images(generator, 2, 1))


def test_titles_and_progress() -> None:
    seen: list[tuple[int, int]] = []
    mixed = mix_samples(
        VDVAELike(), pairs=1, prefixes=[0, 1, 3], progress=lambda done, total, _: seen.append((done, total))
    )
    assert mixed.titles == ("A", "none", "0:1", "0:3", "B")
    assert seen == [(1, 5), (2, 5), (3, 5), (4, 5), (5, 5)]
    assert mixed.images.min() >= 0 and mixed.images.max() <= 1


def test_slips() -> None:
    class Decodes:
        latents = VDVAELike.latents

    x = _images(VDVAELike(), 2, 0)
    with pytest.raises(ConfigError, match=r"encodes them, came Decodes \(name an encoder"):
        mix_images(Decodes(), x, x)
    with pytest.raises(InputError, match=r"shape \(1, 4, 4\), came \(2, 1, 3, 4\)"):
        mix_images(VDVAELike(), x, x[:, :, :3])
    with pytest.raises(InputError, match="for 2 pairs"):
        mix_images(VDVAELike(), x, x[:1])
    for prefixes in ([], [4], [-1], [2, 1], [1, 1]):
        with pytest.raises(ConfigError, match="rising numbers"):
            mix_samples(BigGANDeepLike(), pairs=1, prefixes=prefixes)


@pytest.mark.parametrize(("first", "last", "most"), [(1, 8, 16), (0, 75, 16), (1, 75, 2), (1, 1, 3), (0, 9, 1)])
def test_spread_rises_from_end_to_end(first: int, last: int, most: int) -> None:
    chosen = spread(first, last, most)
    assert list(chosen) == sorted(set(chosen)) and chosen[0] == first
    assert len(chosen) == min(most, last - first + 1) and (most == 1 or chosen[-1] == last)


@pytest.mark.parametrize("channels", [1, 3])
def test_grids_keep_every_pixel(tmp_path: Path, channels: int) -> None:
    images = (torch.arange(2 * 3 * channels * 4 * 5) % 256 / 255).reshape(2, 3, channels, 4, 5)
    write_grid(tmp_path / "new" / "grid.png", images, titles=("A", "0:1", "B"), least=10)
    with Image.open(tmp_path / "new" / "grid.png") as picture:
        pixels = np.asarray(picture.convert("RGB"))
    assert pixels.shape == (GAP + HEADER + 2 * (8 + GAP), GAP + 3 * (10 + GAP), 3)
    assert pixels[: GAP + HEADER].min() < 100 and pixels[:, :GAP].min() == 255  # titles; the margin
    for row in range(2):
        for column in range(3):
            top, left = GAP + HEADER + row * (8 + GAP), GAP + column * (10 + GAP)
            tile = pixels[top : top + 8, left : left + 10]
            expected = (255 * images[row, column]).round().byte().permute(1, 2, 0).expand(-1, -1, 3).numpy()
            for part in (tile[::2, ::2], tile[1::2, 1::2]):
                assert np.array_equal(part, expected)
    write_grid(tmp_path / "plain.png", images, least=1)
    with Image.open(tmp_path / "plain.png") as picture:
        assert picture.size == (GAP + 3 * (5 + GAP), GAP + 2 * (4 + GAP))
