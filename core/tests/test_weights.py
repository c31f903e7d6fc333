"""Weights files, loading by name, and conversion with installed converters."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from fake_site import Site
from linear_family import PARTS, install, state
from mlvgm.errors import InputError, PluginError
from mlvgm.plugins.describe import PluginWarning
from mlvgm.weights.container import Container, Converted, read_container, tensors_of
from mlvgm.weights.convert import convert
from mlvgm.weights.file import WeightsFile, check_fit, fill, filled, is_finite, read_weights, write_weights
from mlvgm.weights.load import load_weights


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
        "not finite, bias among them": {**good, "bias": torch.tensor([0.0, float("nan")])},
    }
    for message, tensors in broken.items():
        with pytest.raises(InputError, match=message):
            fill(network, tensors, path)
    with torch.device("meta"):
        giant = nn.Linear(10**6, 10**6)
    with pytest.raises(InputError, match=r"weight is \(2, 3\) instead of \(1000000, 1000000\)"):
        check_fit(giant, {**good, "bias": torch.zeros(10**6)}, path)


@torch.no_grad()
def test_filled_networks_are_not_initialised_first(tmp_path: Path) -> None:
    before = torch.get_rng_state()
    network = filled(lambda: nn.Linear(3, 2), {"weight": torch.ones(2, 3), "bias": torch.zeros(2)}, tmp_path / "x")
    assert torch.equal(torch.get_rng_state(), before) and not network.training
    assert network(torch.ones(1, 3)).tolist() == [[3, 3]]
    made = []

    def enormous() -> nn.Module:
        made.append(nn.Linear(10**7, 10**7))  # 400 TB, were it to have memory
        return made[0]

    with pytest.raises(InputError, match="2 tensors do not fit"):
        filled(enormous, {"weight": torch.ones(2, 3), "bias": torch.zeros(2)}, tmp_path / "x")
    assert made[0].weight.is_meta


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
