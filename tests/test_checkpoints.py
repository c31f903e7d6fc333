"""Every public layout: converted on the command line and loaded by path, it is the network its source is."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from mlvgm.api import load
from mlvgm.cli.main import main
from mlvgm.noise import Keys
from mlvgm.protocols.generator import Encodes

GOLDEN = Path(__file__).parent / "golden"


@dataclass(frozen=True)
class Layout:
    """A checkpoint and the generator it is of.

    Args:
        generator: component.
        source: where its file is, or makes it in a folder.
        options: file of constructor arguments.
        encodes: an encoder comes with it.
    """

    generator: str
    source: Callable[[Path], Path]
    options: str | None = None
    encodes: bool = False


def stored(name: str) -> Callable[[Path], Path]:
    return lambda folder: GOLDEN / name


def merged(name: str) -> Callable[[Path], Path]:
    """The one file in which encoder and decoder are published."""

    def make(folder: Path) -> Path:
        golden = GOLDEN / name
        state = load_file(golden / "weights_encoder.safetensors") | load_file(golden / "weights_decoder.safetensors")
        io, config = load_file(golden / "io.safetensors"), json.loads((golden / "config.json").read_text())
        content: dict[str, Any] = {"state_dict": state, "opts": config["opts"]}
        if "latent_avg" in io:
            content["latent_avg"] = io["latent_avg"]
        torch.save(content, folder / "published.pt")
        return folder / "published.pt"

    return make


LAYOUTS = {
    "StyleGAN2-ADA pickle": Layout("stylegan2", stored("stylegan2_ada/network_snapshot.pkl")),
    "StyleGAN2-ADA state dict": Layout("stylegan2", stored("stylegan2_ada/weights.safetensors")),
    "StyleGAN2 TensorFlow variables": Layout(
        "stylegan2", stored("stylegan2_ada/tf_variables.safetensors"), "stylegan2_ada/tf_static_kwargs.json"
    ),
    "rosinality": Layout("stylegan2", stored("stylegan2_rosinality/checkpoint.pt")),
    "e4e": Layout("stylegan2", merged("e4e"), "e4e/config.json", encodes=True),
    "Style-Transformer": Layout(
        "stylegan2", merged("style_transformer"), "style_transformer/config.json", encodes=True
    ),
    "StyleGAN3": Layout("stylegan3", stored("stylegan3/weights.safetensors"), "stylegan3/config.json"),
    "BigGAN": Layout("biggan", stored("biggan/weights.safetensors"), "biggan/config.json"),
    "BigBiGAN": Layout("biggan", stored("bigbigan/weights.safetensors"), "bigbigan/config.json"),
    "BigGAN-deep": Layout("biggan-deep", stored("biggan_deep_hf/weights.safetensors"), "biggan_deep_hf/config.json"),
    "NVAE, SerezD": Layout("nvae", stored("nvae_serez/checkpoint.pt"), encodes=True),
    "NVAE, NVlabs": Layout("nvae", stored("nvae_nvlabs/checkpoint.pt"), encodes=True),
    "NVAE, NVlabs, flows": Layout(
        "nvae", stored("nvae_nvlabs_flows/weights.safetensors"), "nvae_nvlabs_flows/config.json", encodes=True
    ),
    "VDVAE": Layout("vdvae", stored("vdvae/weights.safetensors"), "vdvae/config.json", encodes=True),
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_converted_and_direct_are_the_same(layout: Layout, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, converted = layout.source(tmp_path), tmp_path / "converted.safetensors"
    arguments = ["weights", "convert", str(source), "--to", str(converted), "--json"]
    options: dict[str, str] = {}
    if layout.options:
        options["config"] = str(GOLDEN / layout.options)
        arguments += ["--config", options["config"]]
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    printed = capsys.readouterr()
    assert stopped.value.code == 0, printed.err
    assert json.loads(printed.out)["generator"] == layout.generator

    direct = load(f"generators/{layout.generator}", weights=str(source), **options)
    again = load(f"generators/{layout.generator}", weights=str(converted))
    assert direct.latents == again.latents and direct.image == again.image
    assert isinstance(direct, Encodes) == isinstance(again, Encodes) == layout.encodes
    keys = Keys.of(seed=0, purpose="test", samples=range(2))
    noise = direct.draw_noise(keys)
    images = direct.generate(noise)
    assert torch.equal(images, again.generate(noise)) and images.std() > 1e-3
    if layout.encodes:
        given = torch.rand(1, *direct.encoder_image.shape, generator=torch.Generator().manual_seed(0))
        alphas = [i / (len(direct.latents) - 1) for i in range(len(direct.latents))]
        first, second = (
            generator.blend(generator.encode(given), noise[[0]], alphas).images for generator in (direct, again)
        )
        assert torch.equal(first, second)


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_one_family_recognises_each(layout: Layout, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    others = {other.generator for other in LAYOUTS.values()} - {layout.generator}
    for other in sorted(others):
        with pytest.raises(SystemExit) as stopped:
            target = tmp_path / "x.safetensors"
            main(["weights", "convert", str(layout.source(tmp_path)), "--to", str(target), "--as", other])
        assert stopped.value.code == 2
        assert capsys.readouterr().err.count("error: ") == 1
        assert not target.exists()
