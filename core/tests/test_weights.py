"""Weights files, conversion with installed converters, lists and checks, from the command line too."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

import hostile_pickles
from fake_site import Site
from mlvgm.cli.main import main
from mlvgm.errors import InputError, PluginError
from mlvgm.plugins.load import PluginWarning
from mlvgm.weights.container import Container, Converted, read_container, tensors_of
from mlvgm.weights.convert import convert
from mlvgm.weights.file import WeightsFile, check_fit, fill, is_finite, read_weights, write_weights
from mlvgm.weights.load import load_weights
from mlvgm.weights.verify import verify

# A family whose checkpoints are state dicts of one linear layer; its width may come from the options.
DESCRIPTOR = """
from mlvgm.plugins.descriptors import Component, Weights

component = Component(
    summary="one linear layer", factory="{name}_parts:build", config="{name}_parts:Config",
    converter="{name}_parts:convert", weights={weights},
)
"""
PARTS = """
import json
from pathlib import Path

from pydantic import BaseModel
from torch import nn

from mlvgm.weights.container import Converted, tensors_of
from mlvgm.weights.file import fill
from mlvgm.weights.load import load_weights


class Config(BaseModel):
    weights: str = ""


def convert(container):
    tensors = tensors_of(container.content, "{key}")
    if "{name}.weight" not in tensors:
        return None
    ours = {{"weight": tensors["{name}.weight"] * container.options.get("scale", 1), "bias": tensors["{name}.bias"]}}
    return Converted("mlvgm-{name}/1", json.dumps(list(ours["weight"].shape)), ours, "somebody/{name}")


def build(config):
    import {name}

    content = load_weights(
        config.weights, shipped={name}.component.weights, formats=("mlvgm-{name}/1",), convert=convert
    )
    height, width = json.loads(content.architecture)
    network = nn.Linear(width, height)
    fill(network, content.tensors, Path(config.weights))
    return network
"""


def install(site: Site, name: str, *, key: str = "g_ema", weights: str = "()", parts: str = PARTS) -> None:
    site.install(
        f"mlvgm-{name}",
        entry_points={"mlvgm.generators": {name: f"{name}:component"}},
        modules={
            name: DESCRIPTOR.format(name=name, weights=weights),
            f"{name}_parts": parts.format(name=name, key=key),
        },
    )


@pytest.fixture
def linear(site: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
    """The toy family, alone."""
    install(site, "linear")
    monkeypatch.setenv("MLVGM_PLUGINS", "mlvgm-linear")
    return site


def state(name: str = "linear", **changes: Tensor) -> dict[str, Tensor]:
    return {f"{name}.weight": torch.arange(6.0).reshape(2, 3), f"{name}.bias": torch.ones(2), **changes}


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    path = tmp_path / "published.pt"
    torch.save({"g_ema": {f"module.{name}": tensor for name, tensor in state().items()}, "args": None}, path)
    return path


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    out, err = capsys.readouterr()
    assert isinstance(caught.value.code, int)
    return caught.value.code, out, err


def test_a_weights_file_is_the_same_bytes_every_time_and_keeps_its_note(tmp_path: Path) -> None:
    note = {letter: "ä\n" for letter in "qwerty"}
    content = WeightsFile("mlvgm-toy/1", "{}", {"a": torch.ones(2, 3).T, "b": torch.zeros(0)}, note)
    for name in ("one", "two"):
        write_weights(tmp_path / f"{name}.safetensors", content)
    one, two = ((tmp_path / f"{name}.safetensors").read_bytes() for name in ("one", "two"))
    assert one == two and sorted(path.name for path in tmp_path.iterdir()) == ["one.safetensors", "two.safetensors"]
    assert (tmp_path / "one.safetensors").stat().st_mode & 0o777 == 0o644
    again = read_weights(tmp_path / "one.safetensors", sha256=hashlib.sha256(one).hexdigest())
    assert (again.format, again.architecture, again.note) == ("mlvgm-toy/1", "{}", note)
    assert torch.equal(again.tensors["a"], torch.ones(3, 2))
    with pytest.raises(InputError, match="expected sha256"):
        read_weights(tmp_path / "one.safetensors", sha256="0" * 64)
    with pytest.raises(InputError, match="cannot write weights"):
        write_weights(tmp_path / "absent" / "one.safetensors", content)


def test_fill_names_what_does_not_fit(tmp_path: Path) -> None:
    network, path = nn.Linear(3, 2), tmp_path / "weights.safetensors"
    good = {"weight": torch.ones(2, 3), "bias": torch.zeros(2)}
    fill(network, good, path)
    assert torch.equal(network.weight, torch.ones(2, 3))
    broken: dict[str, dict[str, Tensor]] = {
        "missing bias": {"weight": torch.ones(2, 3)},
        "unexpected extra": {**good, "extra": torch.ones(1)},
        r"bias is \(3,\) instead of \(2,\)": {**good, "bias": torch.zeros(3)},
        "bias has values that are not finite": {**good, "bias": torch.tensor([0.0, float("nan")])},
    }
    for message, tensors in broken.items():
        with pytest.raises(InputError, match=message):
            fill(network, tensors, path)
    with torch.device("meta"):
        giant = nn.Linear(10**6, 10**6)
    with pytest.raises(InputError, match=r"weight is \(2, 3\) instead of \(1000000, 1000000\)"):
        check_fit(giant, {**good, "bias": torch.zeros(10**6)}, path)


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.bfloat16, torch.complex64, torch.int8, torch.bool])
def test_numbers_of_every_type_are_checked(dtype: torch.dtype) -> None:
    assert is_finite(torch.ones(3).to(dtype))
    if dtype.is_floating_point or dtype.is_complex:
        assert not is_finite(torch.tensor([1.0, float("nan")]).to(dtype))


def test_state_dicts_are_found_under_their_keys() -> None:
    inner, outer = {"a": torch.ones(1)}, {"b": torch.ones(2)}
    assert [*tensors_of({"ema": inner, "state_dict": outer}, "ema", "state_dict")] == ["a"]
    assert [*tensors_of({"state_dict": outer, "ema": None}, "ema", "state_dict")] == ["b"]
    assert [*tensors_of({**inner, "epoch": 3, 7: torch.ones(1)}, "ema")] == ["a"]
    assert [*tensors_of({"module.a": torch.ones(1), "module.b.c": torch.ones(1)})] == ["a", "b.c"]
    assert [*tensors_of({"module.a": torch.ones(1), "b": torch.ones(1)})] == ["module.a", "b"]
    assert tensors_of([inner]) == tensors_of(None) == tensors_of("text", "ema") == {}


def test_converted_weights_are_the_checkpoints(linear: Site, checkpoint: Path, tmp_path: Path) -> None:
    target = tmp_path / "ours.safetensors"
    done = convert(checkpoint, target, index=linear.index())
    assert (done.generator, done.layout, done.format) == ("linear", "somebody/linear", "mlvgm-linear/1")
    assert (done.tensors, done.numbers) == (2, 8)
    content = read_weights(target)
    assert content.format == "mlvgm-linear/1" and json.loads(content.architecture) == [2, 3]
    assert torch.equal(content.tensors["weight"], torch.arange(6.0).reshape(2, 3))
    assert content.note == {"layout": "somebody/linear", "source": "published.pt"}
    scaled = tmp_path / "scaled.safetensors"
    convert(checkpoint, scaled, options={"scale": 2}, family="linear", index=linear.index())
    assert torch.equal(read_weights(scaled).tensors["weight"], 2 * torch.arange(6.0).reshape(2, 3))


@pytest.mark.parametrize("suffix", [".safetensors", ".pkl", ".th"])
def test_bare_state_dicts_convert_too(linear: Site, tmp_path: Path, suffix: str) -> None:
    source = tmp_path / f"bare{suffix}"
    save_file(state(), source) if suffix == ".safetensors" else torch.save(state(), source)
    assert convert(source, tmp_path / "ours.safetensors", index=linear.index()).tensors == 2


def complaint(source: Path, target: Path, site: Site, **options: Any) -> str:
    before = {path: path.read_bytes() for path in target.parent.iterdir() if path.is_file()}
    with pytest.raises((InputError, PluginError)) as caught:
        convert(source, target, index=site.index(), **options)
    assert {path: path.read_bytes() for path in target.parent.iterdir() if path.is_file()} == before
    return str(caught.value)


def test_refusals_leave_nothing(linear: Site, checkpoint: Path, tmp_path: Path) -> None:
    target = tmp_path / "ours.safetensors"
    assert "ends in .safetensors" in complaint(checkpoint, tmp_path / "ours.pt", linear)
    with pytest.raises(InputError, match=r"folder .* does not exist"):
        convert(checkpoint, tmp_path / "absent" / "x.safetensors", index=linear.index())
    assert "does not exist" in complaint(tmp_path / "absent.pt", target, linear)
    assert "unknown generator 'linaer'" in complaint(checkpoint, target, linear, family="linaer")
    cases: dict[str, tuple[Any, str]] = {
        "other.pt": ({"weight": torch.ones(1)}, "no checkpoint of a known family (asked: linear)"),
        "list.pt": ([1, 2], "no checkpoint of a known family"),
        "half.pt": ({"linear.weight": torch.ones(2, 3)}, "incomplete, damaged or unsupported checkpoint (KeyError"),
        "nan.pt": (state(**{"linear.bias": torch.tensor([0.0, float("inf")])}), "not finite, bias among them"),
    }
    for name, (content, message) in cases.items():
        torch.save(content, tmp_path / name)
        assert message in complaint(tmp_path / name, target, linear)
    torch.save({"weight": torch.ones(1)}, tmp_path / "other.pt")
    assert "not a checkpoint of linear" in complaint(tmp_path / "other.pt", target, linear, family="linear")


def test_existing_files_are_replaced_only_by_force(linear: Site, checkpoint: Path, tmp_path: Path) -> None:
    target = tmp_path / "ours.safetensors"
    target.write_bytes(b"precious")
    assert "exists (choose another name, or replace a file with --force)" in complaint(checkpoint, target, linear)
    torch.save([1], tmp_path / "bad.pt")
    assert "no checkpoint" in complaint(tmp_path / "bad.pt", target, linear, force=True)
    convert(checkpoint, target, force=True, index=linear.index())
    assert read_weights(target).format == "mlvgm-linear/1"
    save_file(state(), tmp_path / "bare.safetensors")
    assert "exists" in complaint(tmp_path / "bare.safetensors", tmp_path / "bare.safetensors", linear, force=True)


def test_several_families_that_recognise_a_checkpoint(site: Site, checkpoint: Path, tmp_path: Path) -> None:
    install(site, "linear")
    install(site, "liner", parts=PARTS.replace("{name}.weight", "linear.weight").replace("{name}.bias", "linear.bias"))
    target = tmp_path / "ours.safetensors"
    assert "linear and liner recognise it (say which one it is for with --as NAME)" in complaint(
        checkpoint, target, site
    )
    assert convert(checkpoint, target, family="liner", index=site.index()).format == "mlvgm-liner/1"


def test_one_broken_family_does_not_keep_another_from_its_checkpoint(
    site: Site, checkpoint: Path, tmp_path: Path
) -> None:
    install(site, "linear")
    install(site, "eager", parts="def convert(container):\n    raise RuntimeError('I take everything for mine')\n")
    install(site, "absent", parts="import no_such_module\n")
    with pytest.warns(PluginWarning, match="generators/absent"):
        assert convert(checkpoint, tmp_path / "ours.safetensors", index=site.index()).generator == "linear"
    torch.save([1], tmp_path / "other.pt")
    with pytest.warns(PluginWarning, match="generators/absent"):
        assert "I take everything" in complaint(tmp_path / "other.pt", tmp_path / "x.safetensors", site)


def test_a_converter_cannot_fill_the_disk(site: Site, checkpoint: Path, tmp_path: Path) -> None:
    install(site, "linear", parts=PARTS.replace('tensors["{name}.bias"]}}', "torch.ones(1).expand(10**9)}}").replace(
        "import json\n", "import json\n\nimport torch\n", 1))  # fmt: skip
    assert "would take 4,000,000,024 bytes" in complaint(checkpoint, tmp_path / "ours.safetensors", site)


def test_load_weights_takes_names_files_and_checkpoints(checkpoint: Path, tmp_path: Path) -> None:
    def mine(container: Container) -> Converted | None:
        tensors = tensors_of(container.content, "g_ema")
        return Converted("mlvgm-toy/1", "x", tensors, "toy") if tensors else None

    def load(name: str | Path, formats: tuple[str, ...] = ("mlvgm-toy/1",)) -> WeightsFile:
        return load_weights(str(name), shipped=(), formats=formats, convert=mine)

    write_weights(tmp_path / "ours.safetensors", WeightsFile("mlvgm-toy/1", "x", state()))
    assert load(tmp_path / "ours.safetensors").tensors.keys() == load(checkpoint).tensors.keys() == state().keys()
    with pytest.raises(InputError, match="expected weights of format 'mlvgm-other/2', came 'mlvgm-toy/1'"):
        load(tmp_path / "ours.safetensors", ("mlvgm-other/2",))
    with pytest.raises(InputError, match="neither shipped \\(none\\) nor an existing file"):
        load("nosuch")
    torch.save({"epoch": 3}, tmp_path / "other.pt")
    with pytest.raises(InputError, match="not a checkpoint of this family"):
        load(tmp_path / "other.pt")
    assert read_container(checkpoint, options={"a": 1}).options == {"a": 1}


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
    (tmp_path / "cut.safetensors").write_bytes((tmp_path / "good.safetensors").read_bytes()[:-4])
    (verdict,) = verify([str(tmp_path / "cut.safetensors")], index=linear.index())
    assert verdict.status == "problem" and "readable safetensors" in verdict.detail


def test_the_command_converts_and_says_how_to_use_it(
    linear: Site, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "ours.safetensors"
    code, out, err = run(capsys, "weights", "convert", str(checkpoint), "--to", str(target))
    assert (code, out) == (0, "")
    assert f"--generator linear --set generator.weights={target}" in err and "somebody/linear" in err
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
