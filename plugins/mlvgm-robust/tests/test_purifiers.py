"""Purifiers on a linear-Gaussian generator, where every setting has a closed form."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from linear_models import linear_generator
from pydantic import ValidationError
from safetensors.torch import load_file
from torch import Tensor

from mlvgm.errors import ConfigError, InputError
from mlvgm.latents import ImageSpec
from mlvgm.noise import Keys, Noise, normal, uniform
from mlvgm_robust.purifiers import blur, mlvgm, noise, none
from mlvgm_robust.purifiers.blur import gaussian_blur
from mlvgm_robust.purifiers.mlvgm import MlvgmPurifier, PurificationNoise
from mlvgm_robust.purifiers.noise import ImageNoise, add_noise
from tolerance import LAYER, close

SEREZ = Path(__file__).parents[3] / "tests" / "golden" / "nvae_serez"


def images(count: int = 3) -> Tensor:
    return torch.rand(count, 3, 4, 4, generator=torch.Generator().manual_seed(1))


def keys(draws: int, count: int = 3) -> Keys:
    return Keys.of(seed=0, purpose="test", samples=range(count), draws=range(draws))


def build(**options: object) -> mlvgm.MlvgmPurifier:
    return mlvgm.build(mlvgm.MlvgmConfig(**options), generator=linear_generator())


def purify(purifier: mlvgm.MlvgmPurifier, x: Tensor, draws: int) -> Tensor:
    return purifier.purify(x, purifier.noise(keys(draws, len(x))))


def test_alpha_zero_is_the_identity_of_an_invertible_generator() -> None:
    x = images()
    purifier = build(alphas="none")
    assert not purifier.stochastic
    close(purify(purifier, x, 2), x.repeat_interleave(2, 0))


def test_alpha_one_is_a_sample_that_ignores_the_image() -> None:
    purifier = build(alphas="constant:1")
    assert purifier.stochastic
    expected = purifier.generator.generate(purifier.generator.draw_noise(keys(2)))
    close(purify(purifier, images(), 2), expected)


def test_keep_replaces_only_the_fine_coordinates() -> None:
    x, purifier = images(), build(alphas="keep:2")
    basis = purifier.generator.basis
    before, after = (x.flatten(1) - 0.5) @ basis, (purify(purifier, x, 1).flatten(1) - 0.5) @ basis
    close(before[:, :12], after[:, :12])
    fine = normal(keys(1), "z2", (36,))
    close(after[:, 12:], 0.1 * fine)


def test_the_encoder_runs_once_an_image_without_image_noise_and_once_a_draw_with_it() -> None:
    shared, separate = build(alphas="linear"), build(alphas="linear", noise=1.0)
    assert purify(shared, images(), 5).shape == (15, 3, 4, 4)
    assert purify(separate, images(), 5).shape == (15, 3, 4, 4)
    assert shared.generator.encoded == [3]
    assert separate.generator.encoded == [15]


def test_whole_pipeline_against_its_formula() -> None:
    x, options = images(2), {"blur": 0.5, "noise": 0.7, "alphas": [0.0, 0.5, 1.0], "attenuation": 0.5}
    purifier = build(**options)
    rows = keys(3, 2)
    blurred = gaussian_blur(x, 0.5).repeat_interleave(3, 0)
    direction = normal(rows, "image", (3, 4, 4))
    noisy = (blurred + 0.7 * direction / direction.flatten(1).norm(dim=1).view(-1, 1, 1, 1)).clamp(0, 1)
    z = ((noisy.flatten(1) - 0.5) @ purifier.generator.basis).split((4, 8, 36), 1)
    prior = [0.1 * normal(rows, f"z{i}", (size,)) for i, size in enumerate((4, 8, 36))]
    mixed = torch.cat([z[0], 0.75 * z[1] + 0.25 * prior[1], 0.5 * z[2] + 0.5 * prior[2]], 1)
    expected = (0.5 + mixed @ purifier.generator.basis.T).unflatten(1, (3, 4, 4))
    close(purify(purifier, x, 3), expected)


def test_each_latent_has_a_draw_of_its_own() -> None:
    """Also from a generator that samples all of its latents from one."""
    asked: list[bool | None] = []
    generator = linear_generator()

    class Tied(type(generator)):  # type: ignore[misc]
        def draw_noise(self, keys: Keys, *, tied: bool | None = None) -> Noise:
            asked.append(tied)
            return generator.draw_noise(keys)

    whole = Tied(generator.basis, generator.blocks, generator.image)
    purify(mlvgm.build(mlvgm.MlvgmConfig(alphas="linear"), generator=whole), images(), 2)
    assert asked == [False]


def test_noise_alone_makes_a_purifier_random() -> None:
    assert build(alphas="none", noise=0.5).stochastic and build(alphas="linear").stochastic
    assert not build(alphas="none").stochastic


def test_rows_of_noise_can_be_taken_apart() -> None:
    x, purifier = images(), build(alphas="cosine", noise=0.5)
    whole = purifier.noise(keys(1))
    close(purifier.purify(x, whole)[[2]], purifier.purify(x[[2]], whole[[2]]))


def test_gradients_flow_to_the_image() -> None:
    x = images().requires_grad_(True)
    purify(build(alphas="constant:0.25"), x, 2).sum().backward()
    scale = torch.ones(3, 4, 4).flatten()
    basis = linear_generator().basis
    close(x.grad.flatten(1), (2 * 0.75 * basis @ basis.T @ scale).expand(3, -1))


def test_images_are_clamped_only_with_noise() -> None:
    x = torch.full((1, 3, 4, 4), 1.5)
    assert purify(build(alphas="none"), x, 1).max() > 1.4
    assert purify(build(alphas="none", noise=1e-3), x, 1).max() < 1 + 1e-5


def test_noise_has_its_norm_for_each_image() -> None:
    x = torch.full((4, 3, 8, 8), 0.5)
    purifier = noise.build(noise.NoiseConfig(norm=1.0))
    noisy = purifier.purify(x, purifier.noise(keys(2, 4)))
    close((noisy - 0.5).flatten(1).norm(dim=1), torch.ones(8))
    assert len(set((noisy - 0.5)[:, 0, 0, 0].tolist())) == 8


def test_no_noise_is_deterministic_and_none_is_the_identity() -> None:
    x = images()
    for purifier in (noise.build(noise.NoiseConfig(norm=0)), none.build(none.NoneConfig())):
        assert not purifier.stochastic
        close(purifier.purify(x, purifier.noise(keys(2))), x.repeat_interleave(2, 0))


def test_blur_keeps_constants_and_is_a_gaussian() -> None:
    constant = torch.full((1, 2, 9, 12), 0.3)
    close(gaussian_blur(constant, 1.0), constant)
    point = torch.zeros(1, 1, 17, 17)
    point[0, 0, 8, 8] = 1
    blurred = gaussian_blur(point, 1.0)[0, 0]
    assert blurred[8, 9] / blurred[8, 8] == pytest.approx(0.60653, abs=1e-4)
    assert blurred[10, 10] / blurred[8, 8] == pytest.approx(0.018316, abs=1e-4)
    assert blurred.sum() == pytest.approx(1, abs=1e-5)


def test_blur_reflects_at_the_border() -> None:
    x = torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    mirrored = torch.cat([x[..., 1:].flip(-1), x, x[..., :-1].flip(-1)], -1)
    close(gaussian_blur(x, 1.0), gaussian_blur(mirrored, 1.0)[..., 7:15])


def test_published_kernels_reproduce_the_published_pictures() -> None:
    io = load_file(SEREZ / "io.safetensors")
    close(gaussian_blur(io["x"], 1.0, kernel=3), io["blurred"], depth=LAYER)
    close(gaussian_blur(io["blur64_x"], 1.0, kernel=15), io["blur64_y"], depth=LAYER)
    close(add_noise(io["x"], io["call_noise"], 0.7), io["noisy"], depth=LAYER)
    assert (gaussian_blur(io["x"], 1.0) - io["blurred"]).abs().max() > 1e-2


def test_blur_purifier() -> None:
    purifier = blur.build(blur.BlurConfig(sigma=0.5))
    expected = gaussian_blur(images(), 0.5).repeat_interleave(2, 0)
    close(purifier.purify(images(), purifier.noise(keys(2))), expected)


def test_refusals() -> None:
    with pytest.raises(InputError, match="radius 4"):
        gaussian_blur(images(), 1.0)
    with pytest.raises(InputError, match=r"expected .*\(N, 3, 4, 4\), got .*trained for these images"):
        purify(build(), torch.rand(2, 1, 4, 4), 1)
    with pytest.raises(InputError, match="rows of noise"):
        none.Identity().purify(images(), none.NoNoise(4))
    with pytest.raises(ConfigError, match="needs a generator"):
        mlvgm.build(mlvgm.MlvgmConfig(), generator=None)
    with pytest.raises(ConfigError, match="latents"):
        build(alphas=[0.0, 1.0])
    with pytest.raises(ConfigError, match="odd"):
        mlvgm.MlvgmConfig(blur_kernel=4)
    for wrong in ({"noise": -1}, {"alphas": [2.0, 0, 0]}, {"attenuation": 2}, {"nosuch": 1}):
        with pytest.raises(ValidationError):
            mlvgm.MlvgmConfig(**wrong)


def test_an_empty_batch_is_refused_clearly() -> None:
    with pytest.raises(InputError, match="there are no images"):
        purify(build(), images()[:0], 1)


def test_the_purifier_blurs_with_the_kernel_it_is_given() -> None:
    class Seen:
        encoder_image = ImageSpec(1, 16, 16)

        def encode(self, images: torch.Tensor) -> torch.Tensor:
            return images

    keys = Keys.of(seed=0, purpose="t", samples=range(2))
    images = uniform(keys, "images", (1, 16, 16))
    noise: Any = PurificationNoise(ImageNoise(keys), keys)  # type: ignore[arg-type]
    found: Any = MlvgmPurifier(Seen(), (0.0,), blur=1.0, blur_kernel=3).encode(images, noise)
    close(found, gaussian_blur(images, 1.0, 3))
    assert (found - gaussian_blur(images, 1.0)).abs().max() > 1e-2
