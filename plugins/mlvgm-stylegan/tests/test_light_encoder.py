"""The light encoder: shapes, offsets from the mean style, files, and refusals."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from mlvgm.errors import InputError
from mlvgm.weights.file import read_weights, write_weights
from mlvgm_stylegan.encoders.light import LightEncoder, LightEncoderArchitecture, build_encoder
from mlvgm_stylegan.encoders.losses import feature_distance, offset_penalty
from mlvgm_stylegan.stylegan2.architecture import StyleGAN2Architecture
from mlvgm_stylegan.stylegan2.network import build
from mlvgm_stylegan.stylegan2.weights import assemble, contents
from tolerance import close

GENERATOR = StyleGAN2Architecture(z_dim=6, w_dim=5, channels=(8, 6, 4), image_channels=3, mapping_layers=2)
ARCHITECTURE = LightEncoderArchitecture(image=(3, 16, 16), styles=6, w_dim=5, widths=(4, 6), kept=3, hidden=7)


def test_codes_are_offsets_from_the_mean_style_in_units_of_its_deviation() -> None:
    encoder = build_encoder(ARCHITECTURE, seed=0)
    images = torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    offsets = encoder(2 * images - 1)
    close(encoder.encode(images), offsets)
    encoder.average.copy_(torch.arange(30.0).view(6, 5))
    encoder.deviation.fill_(3.0)
    close(encoder.encode(images), encoder.average + 3 * offsets)
    assert encoder.restore(images) is images and encoder.image.shape == (3, 16, 16)
    # Every image has its own code, whatever the batch.
    close(encoder.encode(images[2:3]), encoder.encode(images)[2:3])


def test_places_and_textures_are_seen() -> None:
    encoder = build_encoder(ARCHITECTURE, seed=0)
    dot = torch.zeros(2, 3, 16, 16)
    dot[0, :, 2, 2] = dot[1, :, 13, 13] = 1
    assert not torch.allclose(*encoder.encode(dot), atol=1e-4)
    flat = torch.full((1, 3, 16, 16), 0.5, requires_grad=True)
    encoder.encode(flat).sum().backward()
    assert flat.grad is not None and flat.grad.isfinite().all()


@pytest.mark.exact
def test_a_file_holds_generator_and_encoder(tmp_path: Path) -> None:
    model, encoder = build(GENERATOR, seed=0), build_encoder(ARCHITECTURE, seed=1)
    encoder.average.normal_(generator=torch.Generator().manual_seed(0))
    path = tmp_path / "both.safetensors"
    write_weights(path, contents(model, encoder))
    again, encoder_again = assemble(read_weights(path), path)
    images = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    assert isinstance(encoder_again, LightEncoder) and encoder_again.architecture == ARCHITECTURE
    assert torch.equal(encoder_again.encode(images), encoder.encode(images))
    assert torch.equal(again(torch.ones(1, 6)), model(torch.ones(1, 6)))


def test_refusals() -> None:
    described = ARCHITECTURE.model_dump(mode="json")
    LightEncoder.from_architecture(described, generator=GENERATOR)
    with pytest.raises(InputError, match="finds 6 styles of 4 numbers"):
        LightEncoder.from_architecture({**described, "w_dim": 4}, generator=GENERATOR)
    with pytest.raises(InputError, match="no valid LightEncoderArchitecture: hidden"):
        LightEncoder.from_architecture({**described, "hidden": 0}, generator=GENERATOR)
    with pytest.raises(InputError, match=r"expected float.* \(N, 3, 16, 16\), got .* \(1, 3, 8, 8\)"):
        build_encoder(ARCHITECTURE, seed=0).encode(torch.zeros(1, 3, 8, 8))
    with pytest.raises(ValidationError, match="images of 10×10 cannot be halved 2 times"):
        LightEncoderArchitecture(image=(1, 10, 10), styles=2, w_dim=2, widths=(4, 4))


def test_features_are_compared_by_direction() -> None:
    generator = torch.Generator().manual_seed(0)
    found, expected = (torch.randn(2, 3, 4, 4, generator=generator) for _ in range(2))
    cosines = torch.nn.functional.cosine_similarity(found, expected, dim=1)
    close(feature_distance([found], [expected]), (2 - 2 * cosines).mean())
    assert feature_distance([5 * found], [found]) == pytest.approx(0, abs=1e-6)
    both = feature_distance([found, found], [expected, -found])
    close(both, ((2 - 2 * cosines).mean() + 4) / 2)


def test_offsets_cost_their_size_and_their_spread() -> None:
    alike = torch.full((2, 3, 4), 2.0)
    assert offset_penalty(alike) == 4
    apart = torch.tensor([1.0, -1.0]).view(1, 2, 1).expand(1, 2, 4)
    assert offset_penalty(apart) == 1 + 1
