"""Small BigGANs with encoders, in which everything matters, and what their tests share."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from mlvgm.latents import Latents
from mlvgm.noise import Keys
from mlvgm_biggan.biggan.architecture import BigGANArchitecture
from mlvgm_biggan.biggan.generator import BigGANGenerator, BigGANSampling, EncodingBigGANGenerator
from mlvgm_biggan.biggan.network import BigGAN, build
from mlvgm_biggan.encoder.light import LightEncoder, LightEncoderArchitecture, build_encoder
from tolerance import close

HIERARCHICAL = BigGANArchitecture(
    chunks=(3, 2, 4), classes=5, embedding=3, widths=(12, 8, 8), attention=(0,), image_channels=1
)
ONE_Z = HIERARCHICAL.model_copy(update={"chunks": (6,)})


def network(architecture: BigGANArchitecture) -> BigGAN:
    """A network in which everything matters."""
    made, draw = build(architecture, seed=0), torch.Generator().manual_seed(0)
    for module in made.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.copy_(0.3 * torch.randn(module.num_features, generator=draw))
            module.running_var.copy_(0.5 + torch.rand(module.num_features, generator=draw))
    for attention in made.attention.values():
        attention.gamma.data.fill_(0.7)
    return made


def encoder(architecture: BigGANArchitecture) -> LightEncoder:
    sizes = LightEncoderArchitecture(
        image=architecture.image,
        dim_z=sum(architecture.chunks),
        classes=architecture.classes,
        embedding=architecture.embedding,
        widths=(8, 8, 8),
        squeezed=4,
        hidden=16,
    )
    made = build_encoder(sizes, seed=0).eval()
    made.embeddings.copy_(torch.randn(made.embeddings.shape, generator=torch.Generator().manual_seed(0)))
    return made


def encoding(architecture: BigGANArchitecture, **options: float) -> EncodingBigGANGenerator:
    return EncodingBigGANGenerator(network(architecture), encoder(architecture), sampling=BigGANSampling(**options))


GENERATORS = {
    "hierarchical": encoding(HIERARCHICAL),
    "truncated": encoding(HIERARCHICAL, truncation=0.8),
    "one z": encoding(ONE_Z),
}
every = pytest.mark.parametrize("generator", GENERATORS.values(), ids=GENERATORS.keys())


def keys(samples: int, draws: int = 1, seed: int = 0) -> Keys:
    return Keys.of(seed=seed, purpose="test", samples=range(samples), draws=range(draws))


def pictures(generator: EncodingBigGANGenerator, rows: int) -> Tensor:
    return torch.rand(rows, *generator.encoder_image.shape, generator=torch.Generator().manual_seed(1))


def ramp(generator: BigGANGenerator) -> list[float]:
    count = len(generator.latents)
    return [(i + 1) / (count + 1) for i in range(count)]


def all_close(ours: Latents, other: Latents) -> None:
    for first, second in zip(ours.values, other.values, strict=True):
        close(first, second)
