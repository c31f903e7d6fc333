"""The weights that ship: they fit into the wheel, and do what their card says."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import mlvgm
import mlvgm_biggan
from mlvgm.noise import Keys
from mlvgm.protocols.generator import Encodes
from mlvgm_biggan.biggan.generator import EncodingBigGANGenerator


@pytest.fixture(scope="module")
def generator() -> EncodingBigGANGenerator:
    return mlvgm.load("generators/biggan")


def test_size_and_card() -> None:
    for weights in mlvgm_biggan.biggan_generator.weights:
        path = Path(mlvgm_biggan.__file__).parent / weights.file.partition(":")[2]
        assert path.stat().st_size <= 4_000_000
        card = path.with_suffix(".md").read_text(encoding="utf-8")
        assert weights.sha256 in card and "mlvgm train" in card


@torch.no_grad()
def test_the_encoder_knows_the_class_of_samples(generator: EncodingBigGANGenerator) -> None:
    assert isinstance(generator, Encodes)
    noise = generator.draw_noise(Keys.of(seed=0, purpose="test", samples=range(200)))
    encoding = generator.encode(generator.generate(noise).clamp(0, 1))
    table = generator.embed_classes(torch.arange(generator.classes))
    drawn, found = (torch.cdist(rows, table).argmin(1) for rows in (noise.condition, encoding.condition))
    assert (drawn == found).float().mean() > 0.85


@torch.no_grad()
def test_coarse_chunks_change_more_than_fine_ones(generator: EncodingBigGANGenerator) -> None:
    one, other = (
        generator.draw_noise(Keys.of(seed=0, purpose=purpose, samples=range(200))) for purpose in ("test/a", "test/b")
    )
    images = generator.generate(one)
    changes = [
        (generator.generate(one.replaced([i], other)) - images).square().mean().item()
        for i in range(len(generator.latents))
    ]
    # The first block's chunk may well beat the seed's.
    assert min(changes[:2]) > 3 * max(changes[2:]) and changes[2] > changes[3]
