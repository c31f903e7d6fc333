"""``mlvgm weights``: list, verify and convert on the command line."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

import hostile_pickles
from fake_site import Site
from linear_family import install
from mlvgm.cli.main import main
from mlvgm.weights.file import WeightsFile, write_weights
from mlvgm.weights.verify import verify


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    out, err = capsys.readouterr()
    assert isinstance(caught.value.code, int)
    return caught.value.code, out, err


@pytest.fixture
def shipping(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Path]:
    """A family that ships weights, whose file the test may damage."""
    package = site.folder / "linear_data"
    package.mkdir()
    (package / "__init__.py").write_text("")
    file = package / "best.safetensors"
    tensors = {"weight": torch.ones(2, 3), "bias": torch.zeros(2)}
    write_weights(file, WeightsFile("mlvgm-linear/1", "[2, 3]", tensors))
    checksum = hashlib.sha256(file.read_bytes()).hexdigest()
    fields = f"name='best', file='linear_data:best.safetensors', sha256='{checksum}', licence='MIT', summary='toy'"
    install(site, "linear", weights=f"(Weights({fields}),)")
    monkeypatch.setenv("MLVGM_PLUGINS", "mlvgm-linear")
    return lambda: file


def test_the_list(shipping: Callable[[], Path], capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "weights", "list")
    assert code == 0 and out.splitlines()[1].split()[:2] == ["generators/linear", "best"]
    _, out, _ = run(capsys, "weights", "list", "--json")
    (weights,) = json.loads(out)["weights"]
    assert (weights["component"], weights["name"], weights["licence"]) == ("linear", "best", "MIT")
    assert weights["bytes"] == shipping().stat().st_size
    assert weights["sha256"] == hashlib.sha256(shipping().read_bytes()).hexdigest()
    shipping().unlink()
    _, out, _ = run(capsys, "weights", "list")
    assert "missing" in out


def test_shipped_weights_are_verified(shipping: Callable[[], Path], capsys: pytest.CaptureFixture[str]) -> None:
    for names in ((), ("best",), ("linear",), ("linear/best",), ("generators/linear/best",)):
        code, out, _ = run(capsys, "weights", "verify", *names)
        assert code == 0 and out.startswith("ok  generators/linear/best") and "builds linear" in out
    content = bytearray(shipping().read_bytes())
    content[-1] ^= 1
    shipping().write_bytes(content)
    code, out, err = run(capsys, "weights", "verify", "--json")
    printed = json.loads(out)
    assert code == 1 and not printed["ok"] and "1 of 1 weights are not usable" in err
    assert printed["weights"][0]["status"] == "problem" and "expected sha256" in printed["weights"][0]["detail"]
    code, _, err = run(capsys, "weights", "verify", "bst")
    assert code == 2 and "unknown weights 'bst'" in err


def test_files_are_verified(linear: Site, tmp_path: Path) -> None:
    tensors = {"weight": torch.ones(2, 3), "bias": torch.zeros(2)}
    files: dict[str, tuple[WeightsFile, str]] = {
        "good": (WeightsFile("mlvgm-linear/1", "[2, 3]", tensors), "builds linear"),
        "shape": (WeightsFile("mlvgm-linear/1", "[3, 3]", tensors), "do not fit its architecture"),
        "nan": (WeightsFile("mlvgm-linear/1", "[2, 3]", {**tensors, "bias": torch.tensor([0.0, float("nan")])}), "not"),
        "newer": (WeightsFile("mlvgm-linear/2", "[2, 3]", tensors), "came 'mlvgm-linear/2'"),
        "foreign": (WeightsFile("mlvgm-other/1", "", tensors), "no installed generator reads the format"),
        "bare": (WeightsFile("", "", tensors), "bare state dict"),
    }
    for name, (content, message) in files.items():
        path = tmp_path / f"{name}.safetensors"
        write_weights(path, content)
        (verdict,) = verify([str(path)], index=linear.index())
        assert verdict.status == ("ok" if name == "good" else "problem") and message in verdict.detail
    (verdict,) = verify([str(tmp_path / "bare.safetensors")], index=linear.index())
    assert "nobody recognises" in verdict.detail and "classifier.weights=FILE" in verdict.detail
    path = tmp_path / "foreign-layout.safetensors"
    write_weights(path, WeightsFile("", "", {f"linear.{name}": tensor for name, tensor in tensors.items()}))
    (verdict,) = verify([str(path)], index=linear.index())
    assert verdict.status == "problem" and "of the generator linear" in verdict.detail
    assert f"`mlvgm weights convert {path} --to NEW.safetensors`" in verdict.detail
    (tmp_path / "cut.safetensors").write_bytes((tmp_path / "good.safetensors").read_bytes()[:-4])
    (verdict,) = verify([str(tmp_path / "cut.safetensors")], index=linear.index())
    assert verdict.status == "problem" and "readable safetensors" in verdict.detail


def test_the_command_converts_and_says_how_to_use_it(
    linear: Site, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "a folder" / "ours.safetensors"
    target.parent.mkdir()
    code, out, err = run(capsys, "weights", "convert", str(checkpoint), "--to", str(target))
    assert (code, out) == (0, "")
    command = shlex.split(err.splitlines()[-1].partition("use them with: ")[2])
    assert command == ["--generator", "linear", "--set", f"generator.weights={target}"] and "somebody/linear" in err
    assert verify([str(target)], index=linear.index())[0].status == "ok"
    for name, text in (("options.json", '{"scale": 1e1}'), ("options.yaml", "scale: 10")):
        (tmp_path / name).write_text(text)
        arguments = ("--config", str(tmp_path / name), "--force", "--as", "linear", "--json")
        code, out, _ = run(capsys, "weights", "convert", str(checkpoint), "--to", str(target), *arguments)
        assert code == 0 and json.loads(out)["numbers"] == 8
        with safe_open(target, "pt") as file:
            assert file.get_tensor("weight").max() == 50
    for text in ("[1]", "{", "\0"):
        (tmp_path / "options.json").write_text(text)
        arguments = ("--config", str(tmp_path / "options.json"), "--force")
        code, _, err = run(capsys, "weights", "convert", str(checkpoint), "--to", str(target), *arguments)
        assert code == 2 and "constructor arguments" in err and len(err.splitlines()) == 1


def test_hostile_checkpoints_end_in_one_line(
    linear: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def system(command: str) -> int:
        raise AssertionError("executed")

    monkeypatch.setattr(os, "system", system)
    folder = tmp_path / "out"
    folder.mkdir()
    source = tmp_path / "hostile.pkl"
    for name, content in hostile_pickles.hostile("exit 1").items():
        source.write_bytes(content)
        code, out, err = run(capsys, "weights", "convert", str(source), "--to", str(folder / "x.safetensors"))
        assert (code, out, len(err.splitlines())) == (2, "", 1), name
        assert err.startswith(f"error: {source}: ") and "bug" not in err
        assert list(folder.iterdir()) == []
