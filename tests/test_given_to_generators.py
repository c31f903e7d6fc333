"""Every family refuses noise, latents, images and keys that it cannot use, in one line with its name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

import mlvgm_biggan.biggan.architecture as biggan
import mlvgm_biggan.biggan.network as biggan_network
import mlvgm_nvae.architecture as nvae
import mlvgm_nvae.network as nvae_network
import mlvgm_stylegan.stylegan2.architecture as stylegan2
import mlvgm_stylegan.stylegan2.network as stylegan2_network
from mlvgm.errors import InputError
from mlvgm.noise import Keys
from mlvgm_biggan.biggan.generator import BigGANGenerator
from mlvgm_nvae.generator import HierarchicalGenerator
from mlvgm_stylegan.stylegan2.generator import StyleGAN2Generator

GENERATORS: dict[str, Callable[[], Any]] = {
    "nvae": lambda: HierarchicalGenerator(nvae_network.build(nvae.light(), seed=0)),
    "stylegan2": lambda: StyleGAN2Generator(stylegan2_network.build(stylegan2.light(), seed=0)),
    "biggan": lambda: BigGANGenerator(biggan_network.build(biggan.light(), seed=0)),
}


@pytest.fixture(scope="module", params=GENERATORS)
def generator(request: pytest.FixtureRequest) -> Any:
    return GENERATORS[request.param]()


def test_noise_and_latents(generator: Any) -> None:
    noise = generator.draw_noise(Keys.of(seed=0, purpose="p", samples=range(2)))
    latents = generator.to_latents(noise)
    doors = (generator.generate, generator.to_latents)
    first = noise.values[0]
    spoilt = {
        "latents, the noise has": replace(noise, source=noise.source[:-1]),
        "expected float32 .* got torch.float64": replace(noise, values=(first.double(), *noise.values[1:])),
        "numbers are NaN": replace(noise, values=(torch.full_like(first, torch.nan), *noise.values[1:])),
        r"expected float32 \(2, ": replace(noise, values=(first[..., :-1], *noise.values[1:])),
        "the batch is empty": noise[[]],
    }
    for words, bad in spoilt.items():
        for door in doors:
            with pytest.raises(InputError, match=words):
                door(bad)
    with pytest.raises(InputError, match="latents, got"):
        generator.decode(replace(latents, values=latents.values[:-1]))
    with pytest.raises(InputError, match="numbers are NaN"):
        generator.decode(replace(latents, values=tuple(torch.nan * value for value in latents.values)))
    with pytest.raises(InputError, match=r"expected float32 .* got torch\.int64"):
        generator.decode(replace(latents, values=tuple(value.long() for value in latents.values)))
    with pytest.raises(InputError, match="there are no rows"):
        generator.draw_noise(Keys.of(seed=0, purpose="p", samples=[]))


def test_images_of_an_encoder() -> None:
    encoding = GENERATORS["nvae"]()
    images = torch.rand(2, *encoding.encoder_image.shape)
    spoilt = {
        "got torch.float64": images.double(),
        "got torch.uint8 .*255": (255 * images).byte(),
        "divide bytes by 255": 255 * images,
        "pixels are NaN": torch.nan * images,
        "there are no images": images[:0],
        r"expected float32 \(N, 1, 32, 32\)": images[:, 0],
    }
    for words, bad in spoilt.items():
        with pytest.raises(InputError, match=words):
            encoding.encode(bad)
    noise = encoding.draw_noise(Keys.of(seed=0, purpose="p", samples=range(2)))
    for bad in ((images, noise), (encoding.encode(images), images), (encoding.encode(images), None)):
        with pytest.raises(InputError, match=r"nvae blends .*, got (Tensor|NoneType)"):
            encoding.blend(*bad, [0.5] * len(encoding.latents))
    short = replace(noise, source=noise.source[:-1])
    with pytest.raises(InputError, match="latents, the noise has"):
        encoding.blend(encoding.encode(images), short, [0.5] * len(encoding.latents))
