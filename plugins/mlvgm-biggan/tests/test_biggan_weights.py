"""The weights file: what is written is what is read, and nothing else is accepted."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import mlvgm
from mlvgm.errors import ConfigError, InputError
from mlvgm.noise import Keys
from mlvgm.protocols.generator import Encodes
from mlvgm.weights.file import read_weights, write_weights
from mlvgm_biggan.biggan.architecture import BigGANArchitecture
from mlvgm_biggan.biggan.network import build
from mlvgm_biggan.biggan.weights import FORMAT, assemble, save
from mlvgm_biggan.encoder.light import LightEncoder, LightEncoderArchitecture, build_encoder
from tolerance import close

ARCHITECTURE = BigGANArchitecture(chunks=(3, 2, 4), classes=5, embedding=3, widths=(12, 8, 8), image_channels=1)


def encoder(dim_z: int = 9) -> LightEncoder:
    sizes = LightEncoderArchitecture(
        image=(1, 16, 16), dim_z=dim_z, classes=5, embedding=3, widths=(8, 8, 8), squeezed=4, hidden=16
    )
    return build_encoder(sizes, seed=0)


@pytest.mark.exact
@pytest.mark.parametrize("encodes", [False, True])
def test_what_is_written_is_read(encodes: bool, tmp_path: Path) -> None:
    path, network = tmp_path / "weights.safetensors", build(ARCHITECTURE, seed=3)
    save(network, path, encoder=encoder() if encodes else None, note={"data": "none"})
    file = read_weights(path)
    assert file.format == FORMAT and file.note == {"data": "none"}
    again, found = assemble(file, path)
    assert all(torch.equal(tensor, network.state_dict()[name]) for name, tensor in again.state_dict().items())
    assert (found is not None) == encodes and not again.training
    generator = mlvgm.load("generators/biggan", weights=str(path), truncation=1.5, label=2)
    assert isinstance(generator, Encodes) == encodes
    assert (generator.sampling.truncation, generator.sampling.label) == (1.5, 2)
    noise = generator.draw_noise(Keys.of(seed=0, purpose="test", samples=[0]))
    values = [chunk for chunk in generator.to_latents(noise).values]
    expected = (network.eval()(values, network.embed(torch.tensor([2]))) + 1) / 2
    close(generator.generate(noise), expected)
    if encodes:
        images = torch.rand(2, 1, 16, 16)
        close(generator.encode(images).condition, encoder().eval().encode(images)[1])


def test_files_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save(build(ARCHITECTURE, seed=0), path, encoder=encoder())
    good = read_weights(path)
    architecture = json.loads(good.architecture)
    wider = json.dumps(architecture | {"generator": architecture["generator"] | {"widths": [12, 8, 16]}})
    lonely = json.dumps(architecture | {"encoder": None})
    for text, message in (
        ("{}", "no valid architecture"),
        ("", "no valid architecture"),
        ("[]", "no valid architecture"),
        (wider, "do not fit"),
        (lonely, "unexpected encoder"),
    ):
        write_weights(path, replace(good, architecture=text))
        with pytest.raises(InputError, match=message):
            mlvgm.load("generators/biggan", weights=str(path))
    save(build(ARCHITECTURE, seed=0), path, encoder=encoder(dim_z=8))
    with pytest.raises(InputError, match="its encoder is for another generator"):
        mlvgm.load("generators/biggan", weights=str(path))


def test_bad_options_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save(build(ARCHITECTURE, seed=0), path)
    with pytest.raises(ConfigError, match="label must be in 0 … 4"):
        mlvgm.load("generators/biggan", weights=str(path), label=5)
    with pytest.raises(ConfigError, match="truncation"):
        mlvgm.load("generators/biggan", weights=str(path), truncation=0)
    with pytest.raises(InputError, match="neither shipped"):
        mlvgm.load("generators/biggan", weights="nosuch")
