"""``mlvgm run mix`` from the command line: real plugins, a picture and figures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mlvgm.cli.main import main
from mlvgm.pictures import _GAP as GAP
from mlvgm.pictures import _HEADER as HEADER

TILE = 64 + GAP  # 32 pixels, enlarged twice


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as stopped:
        main(["run", "mix", *arguments])
    code = stopped.value.code
    assert code is None or isinstance(code, int)
    return code or 0


def _tiles(file: Path) -> np.ndarray:
    """(rows, columns, 64, 64) of a grey picture."""
    with Image.open(file) as picture:
        pixels = np.asarray(picture)[GAP + HEADER :, GAP:]
    rows, columns = pixels.shape[0] // TILE, pixels.shape[1] // TILE
    return pixels.reshape(rows, TILE, columns, TILE).swapaxes(1, 2)[:, :, :-GAP, :-GAP]


def test_samples(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLVGM_SET_DATA__SOURCE", "sample")  # the environment alone does not ask for images
    assert _run("--generator", "nvae", "-n", "2", "--out", "new/samples.png", "--json") == 0
    out, err = capsys.readouterr()
    printed = json.loads(out)
    assert printed["file"] == str(Path("new/samples.png")) and printed["pairs"] == 2 and "samples.png" in err
    assert [mixture["exchanged"] for mixture in printed["mixtures"]] == list(range(1, 9))
    assert len(printed["latents"]) == 8
    assert printed["mixtures"][-1]["left"] < 1e-6 < printed["mixtures"][0]["left"]
    tiles = _tiles(tmp_path / "new" / "samples.png")
    assert tiles.shape == (2, 10, 64, 64)
    assert np.array_equal(tiles[:, -2], tiles[:, -1])  # all latents exchanged: B itself
    assert _run("-n", "2", "--out", "other.png", "--seed", "1") == 0
    assert "0:8" in capsys.readouterr().out
    assert not np.array_equal(_tiles(tmp_path / "other.png"), tiles)


def test_encoded_images(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert _run("--data", "fashion-mnist", "--set", "data.source=sample", "-n", "3", "--columns", "3", "--json") == 0
    printed = json.loads(capsys.readouterr().out)
    assert [mixture["exchanged"] for mixture in printed["mixtures"]] == [0, 4, 8]
    tiles = _tiles(tmp_path / "mix.png")
    assert tiles.shape == (3, 5, 64, 64)
    from mlvgm import load

    images, _ = load("datasets/fashion-mnist", source="sample").batch("test", range(6))
    given = (255 * images[:, 0]).round().numpy().astype(np.uint8)
    assert np.array_equal(tiles[:, 0, ::2, ::2], given[0::2]) and np.array_equal(tiles[:, -1, ::2, ::2], given[1::2])
    far = np.abs(tiles[:, 1].astype(float) - tiles[:, -1]).mean()
    assert np.abs(tiles[:, 3].astype(float) - tiles[:, -1]).mean() < far / 3  # B's reconstruction is near B


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--generator", "nvea"), "did you mean 'nvae'"),
        (("--out", "picture.jpg"), "expected a PNG file"),
        (("--out", "."), "expected a PNG file"),
        (("--set", "attack.eps=1"), "unknown option 'attack.eps'"),
        (("--set", "generator.nosuch=1"), "generator.nosuch: unknown option"),
        (("--data", "fashion-mnist", "--split", "tset"), "did you mean 'test'"),
        (("--data", "fashion-mnist", "-n", "1000", "--set", "data.source=sample", "--split", "train"), "train split"),
        (("--data", "fashion-mnist", "-n", "1001"), "1001"),
        (("--data", "shapes"), "came (6, 3, 32, 32)"),
        (("--encoder", "inversion"), "samples have no use for an encoder"),
        (("--device", "abacus"), "device 'abacus' is not available"),
    ],
)
def test_slips(arguments: tuple[str, ...], said: str, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert _run(*arguments) == 2
    printed = capfd.readouterr()
    assert said in printed.err.replace("\n", " ") and "Traceback" not in printed.err
    assert list(tmp_path.iterdir()) == []


def test_a_generator_without_encoder(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    from mlvgm_nvae.generator import HierarchicalGenerator

    monkeypatch.delattr(HierarchicalGenerator, "encode")
    assert _run("--set", "data.source=sample") == 2
    assert "needs a generator that encodes" in capfd.readouterr().err
    assert _run("-n", "1") == 0  # samples it can
