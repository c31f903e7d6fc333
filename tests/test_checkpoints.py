"""Every public layout: converted on the command line and loaded by path, it is the network its source is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from mlvgm.api import load
from mlvgm.cli.main import main
from mlvgm.noise import Keys
from mlvgm.protocols.generator import Encodes
from published_layouts import GOLDEN, LAYOUTS, Layout


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
