"""The unpickler reads what Python and PyTorch read, in every container, as plain data."""

from __future__ import annotations

import argparse
import collections
import math
import pickle
import warnings
from io import BytesIO
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import Tensor, nn

import hostile_pickles
import pickled
from mlvgm.errors import InputError
from mlvgm.weights.container import constructor_arguments, module_state, read_container, tensors_of
from mlvgm.weights.unpickle import Record, unpickle

GOLDEN = Path(__file__).parents[2] / "tests" / "golden"


def read(content: bytes, folder: Path, name: str = "checkpoint.pt") -> Any:
    path = folder / name
    path.write_bytes(content)
    return unpickle(path)


def theirs(content: bytes) -> Any:
    """What PyTorch or Python make of trusted content."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return torch.load(BytesIO(content), weights_only=False)
        except Exception:
            return pickle.loads(content)


def same(ours: Any, other: Any) -> bool:
    """``ours`` is the plain form of ``other``: the same numbers in the same order, of the same type."""
    if isinstance(other, np.ndarray):
        other = torch.from_numpy(other.astype(other.dtype.newbyteorder("=")))
    if isinstance(other, Tensor):
        if not isinstance(ours, Tensor) or ours.dtype != other.dtype or ours.requires_grad:
            return False
        return ours.shape == other.shape and torch.equal(ours, other.detach())
    if isinstance(other, np.generic):
        other = other.item()
    if isinstance(other, torch.device | torch.dtype | PurePath):
        return ours == str(other)
    if isinstance(other, argparse.Namespace):
        return isinstance(ours, Record) and ours.name == "argparse.Namespace" and same(ours.state, vars(other))
    if isinstance(other, dict):
        return type(ours) is dict and [*ours] == [*other] and all(same(ours[key], other[key]) for key in other)
    if isinstance(other, list | tuple):
        kind = tuple if isinstance(other, tuple) else list
        return type(ours) is kind and len(ours) == len(other) and all(map(same, ours, other))
    if isinstance(other, float):
        return type(ours) is float and (ours == other or (math.isnan(ours) and math.isnan(other)))
    if isinstance(other, set | frozenset):
        return ours == other
    return type(ours) is type(other) and ours == other


CONTAINERS = [*(f"plain{protocol}.pkl" for protocol in pickled.PROTOCOLS), "zip.pt", "legacy.pt"]


@pytest.mark.parametrize("name", CONTAINERS)
def test_every_kind_of_value_in_every_container(name: str, tmp_path: Path) -> None:
    content = pickled.samples()[name]
    ours, other = read(content, tmp_path), theirs(content)
    assert [*ours] == [*pickled.everything()]
    assert [key for key in ours if not same(ours[key], other[key])] == []


@pytest.mark.parametrize("protocol", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("legacy", [False, True])
def test_pytorch_files_of_every_protocol(protocol: int, legacy: bool, tmp_path: Path) -> None:
    content = pickled.saved(pickled.everything(), legacy=legacy, protocol=protocol)
    assert same(read(content, tmp_path), theirs(content))


_KEYS = st.text(max_size=4) | st.integers(-(2**59), 2**59) | st.booleans() | st.binary(max_size=3) | st.none()
_SCALARS = (
    st.none() | st.booleans() | st.integers(-(2**200), 2**200) | st.floats() | st.text() | st.binary()
    | st.builds(complex, st.floats(allow_nan=False), st.floats(allow_nan=False))
)  # fmt: skip


@st.composite
def tensors(draw: st.DrawFn) -> Tensor:
    """Views of every kind on storages of every type of number."""
    sizes = draw(st.lists(st.integers(0, 4), max_size=4))
    kinds = (torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.uint8, torch.bool)
    count = math.prod(sizes)
    tensor = torch.arange(count).remainder(7).to(draw(st.sampled_from(kinds))).reshape(sizes)
    for axis in range(tensor.ndim):
        if draw(st.booleans()):
            tensor = tensor.narrow(axis, 0, tensor.shape[axis] // 2)
    return tensor.permute(draw(st.permutations(range(tensor.ndim))))


_VALUES = st.recursive(
    _SCALARS | tensors(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(_KEYS, inner, max_size=4)
        | st.dictionaries(st.text(max_size=3), inner, max_size=3).map(collections.OrderedDict)
        | st.dictionaries(st.from_regex("[a-z]{1,3}", fullmatch=True), inner, max_size=3).map(
            lambda state: argparse.Namespace(**state)
        )
        | st.lists(inner, min_size=1, max_size=2).map(lambda items: [items[0], items[0], *items])
    ),
    max_leaves=12,
)


@settings(max_examples=100, deadline=None)
@given(value=_VALUES, protocol=st.integers(0, 5), container=st.sampled_from(["plain", "zip", "legacy"]))
def test_plain_data_and_tensors_round_trip(
    value: Any, protocol: int, container: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    if container == "plain":
        content = pickle.dumps(value, protocol)
    else:
        content = pickled.saved(value, legacy=container == "legacy", protocol=max(protocol, 1))
    assert same(read(content, tmp_path_factory.getbasetemp()), theirs(content))


@pytest.mark.parametrize(
    ("family", "file", "keys"),
    [
        ("stylegan2_ada", "network_snapshot.pkl", ("G_ema",)),
        ("stylegan2_rosinality", "checkpoint.pt", ("g_ema",)),
        ("nvae_serez", "checkpoint.pt", ("state_dict_temp=0.6",)),
        ("nvae_nvlabs", "checkpoint.pt", ("state_dict",)),
    ],
)
def test_containers_of_published_code(family: str, file: str, keys: tuple[str, ...]) -> None:
    if not (GOLDEN / family / file).exists():
        pytest.skip(f"{family} is not in this checkout")
    ours = tensors_of(read_container(GOLDEN / family / file).content, *keys)
    expected = load_file(GOLDEN / family / "weights.safetensors")
    assert ours.keys() == expected.keys() and all(torch.equal(ours[name], expected[name]) for name in expected)


@pytest.mark.parametrize("protocol", [2, 4])
def test_persistence_objects_are_records_without_their_source(protocol: int, tmp_path: Path) -> None:
    content = pickled.samples()[f"stylegan{protocol}.pkl"]
    assert b"the source of a persistence object ran" in content
    found = read(content, tmp_path)
    assert "the source" not in repr(found)
    assert found["G"] is None and found["training_set_kwargs"] == {"path": "data.zip"}
    generator = found["G_ema"]
    assert isinstance(generator, Record) and generator.name == "Generator"
    state = module_state(generator)
    assert [*state] == ["w_avg", "mapping.weight", "mapping.noise"]
    assert torch.equal(state["mapping.weight"], torch.arange(6.0).reshape(2, 3))
    assert torch.equal(state["w_avg"], torch.arange(3.0))
    assert generator.state["_modules"]["mapping"].state["gain"] == 0.5
    assert constructor_arguments(generator) == {"c_dim": 0, "mapping_kwargs": {"num_layers": 2}}
    assert constructor_arguments(Record("Other", {})) == {}
    assert tensors_of(found, "G_ema").keys() == state.keys()


@pytest.mark.parametrize("protocol", pickled.PROTOCOLS)
def test_tensorflow_networks_are_records(protocol: int, tmp_path: Path) -> None:
    found = read(pickled.samples()[f"tensorflow{protocol}.pkl"], tmp_path)
    assert isinstance(found, tuple) and [network.state["name"] for network in found] == ["G", "D", "Gs"]
    average = found[2]
    assert average.name == "dnnlib.tflib.network.Network"
    assert average.state["static_kwargs"] == {"resolution": 8, "func_name": "training.networks_stylegan2.G_main"}
    assert average.state["components"]["mapping"].state["name"] == "G_mapping"
    (name, array), (_, lod) = average.state["variables"]
    assert name == "mapping/Dense0/weight" and lod == 0.0
    assert torch.equal(array, torch.arange(6.0).reshape(2, 3))


def test_arrays_of_python_2(tmp_path: Path) -> None:
    assert read(hostile_pickles.python2_array(), tmp_path).tolist() == [-1.5, 2.0]


@pytest.mark.parametrize("name", ["module.pt", "module_legacy.pt"])
def test_whole_modules_and_data_parallel_prefixes(name: str, tmp_path: Path) -> None:
    content = pickled.samples()
    expected = theirs(content[name]).state_dict()
    state = tensors_of(read(content[name], tmp_path))
    assert state.keys() == expected.keys() and all(torch.equal(state[key], expected[key]) for key in expected)
    prefixed = read(content[name.replace("module", "training")], tmp_path)
    assert tensors_of(prefixed, "ema", "state_dict").keys() == expected.keys()
    assert prefixed["args"] == Record("argparse.Namespace", {"dataset": "celeba_64"})


def test_unknown_classes_are_records_and_shared_parts_stay_shared(tmp_path: Path) -> None:
    with pickled.foreign_modules():
        opinion = pickled.Opinion()
        opinion.__dict__ |= {"strength": 3, "about": [opinion_part := torch.ones(2)], "again": opinion_part}
        content = pickle.dumps({"one": opinion, "two": opinion, "class": pickled.Opinion})
    found = read(content, tmp_path)
    assert found["one"].name == "somewhere.else_.Opinion" and found["one"].state["strength"] == 3
    assert found["one"].state["about"][0] is found["one"].state["again"]
    assert found["one"].state is found["two"].state
    assert found["class"] == Record("somewhere.else_.Opinion", {})


def test_tensors_of_one_storage_share_it(tmp_path: Path) -> None:
    whole = torch.arange(4.0)
    for legacy in (False, True):
        found = read(pickled.saved([whole, whole[1:3], nn.Parameter(whole)], legacy=legacy), tmp_path)
        found[0][1] = 9
        assert found[1].tolist() == [9, 2] and found[2].tolist() == [0, 9, 2, 3]


@pytest.mark.parametrize(
    ("start", "length", "offset", "size"), [(0, 6, 0, 6), (2, 3, 0, 3), (2, 4, 1, 2), (5, 1, 0, 1)]
)
def test_views_in_legacy_files_begin_where_they_say(
    start: int, length: int, offset: int, size: int, tmp_path: Path
) -> None:
    """PyTorch's own reader, and counting."""
    numbers = [10.0, 11.0, 12.0, 13.0, 14.0, 15.0]
    content = hostile_pickles.legacy_view(numbers, start=start, length=length, offset=offset, size=size)
    found = read(content, tmp_path)
    assert found.tolist() == numbers[start + offset : start + offset + size]
    assert found.tolist() == torch.load(BytesIO(content), weights_only=True).tolist()


def test_views_that_leave_their_storage(tmp_path: Path) -> None:
    for start, length, size in ((5, 2, 1), (7, 0, 0), (0, 3, 4)):
        content = hostile_pickles.legacy_view([0.0] * 6, start=start, length=length, offset=0, size=size)
        with pytest.raises(InputError, match=r"that reaches (outside|to number)"):
            read(content, tmp_path)


def test_missing_files_and_folders(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.pkl", tmp_path):
        with pytest.raises(InputError, match="does not exist or is not a file"):
            unpickle(path)
        with pytest.raises(InputError, match="does not exist or is not a file"):
            read_container(path)
