"""Architectures in weights files that ask for more than the file has: refused before anything is made of them."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.modules import module as registration

from mlvgm.cli.main import main
from mlvgm.errors import InputError, MlvgmError
from mlvgm.plugins.index import Index
from mlvgm.plugins.load import build
from mlvgm.weights import load as loading
from mlvgm.weights.container import read_container
from mlvgm.weights.convert import recognise
from mlvgm.weights.file import WeightsFile, read_weights, write_weights
from mlvgm.weights.options import read_options
from mlvgm.weights.shipped import all_shipped, shipped_file
from published_layouts import GOLDEN, LAYOUTS, Layout

GIANTS: list[Any] = [10**7, 2**31, -(10**12), 10**30, [10**7, 3, 2], [[10**9]], [1] * 20_000]
STRANGE: list[Any] = [
    4096,
    4000,
    0,
    -1,
    1,
    2,
    True,
    None,
    "many",
    "64",
    0.5,
    1e308,
    [],
    [4000, 4000, 4000],
    [2] * 60,
    {},
]
CONSTANTS = ("NaN", "Infinity", "-Infinity", "1e400")


@dataclass
class Made:
    """What was registered: how many parameters and buffers, and numbers of those that take memory."""

    count: int = 0
    numbers: int = 0


@contextmanager
def watched() -> Iterator[Made]:
    made = Made()

    def count(_: nn.Module, name: str, value: torch.Tensor | None) -> None:
        if value is not None:
            made.count += 1
            made.numbers += 0 if value.is_meta else value.numel()

    hooks = [
        registration.register_module_parameter_registration_hook(count),
        registration.register_module_buffer_registration_hook(count),
    ]
    try:
        yield made
    finally:
        for hook in hooks:
            hook.remove()


def leaves(content: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Places of all values in ``content``, containers included."""
    if path:
        yield path
    inner = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in inner:
        yield from leaves(value, (*path, key))


def put(content: Any, path: tuple[Any, ...], value: Any) -> Any:
    """A copy of ``content`` with ``value`` at ``path``."""
    copied = json.loads(json.dumps(content))
    place = copied
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return copied


@dataclass(frozen=True)
class Family:
    """A converted checkpoint, and how it is loaded with another architecture."""

    file: WeightsFile
    load: Callable[[str], object]

    @property
    def numbers(self) -> int:
        return sum(tensor.numel() for tensor in self.file.tensors.values())


# One for each kind of architecture: published layouts by name, and shipped weights of those that no layout is of.
PUBLISHED = (
    "StyleGAN2-ADA pickle", "e4e", "Style-Transformer", "StyleGAN3", "BigGAN", "BigGAN-deep", "VDVAE",
    "NVAE, NVlabs, flows",
)  # fmt: skip
SHIPPED = ("generators/stylegan2/shapes", "generators/biggan/fashion-mnist", "generators/nvae/clean")
PURIFIERS = ("purifiers/a-vae/fashion-mnist", "purifiers/nd-vae/fashion-mnist")


@pytest.fixture(scope="module", params=[*PUBLISHED, *SHIPPED, *PURIFIERS])
def family(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Family:
    path = tmp_path_factory.mktemp("hostile") / "weights.safetensors"
    kind, name, good = _published(request.param, path.parent) if request.param in PUBLISHED else _own(request.param)
    write_weights(path, good)

    def load(architecture: str) -> object:
        # The file is read once, the architecture is another each time.
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(loading, "read_weights", lambda _: replace(good, architecture=architecture))
            parts = {"generator": None} if kind == "purifiers" else {}
            return build(kind, name, {"weights": str(path)}, **parts)

    return Family(good, load)


def _published(name: str, folder: Path) -> tuple[str, str, WeightsFile]:
    layout: Layout = LAYOUTS[name]
    options = read_options(GOLDEN / layout.options if layout.options else None)
    _, found = recognise(read_container(layout.source(folder), options=options), layout.generator, Index.installed())
    return "generators", layout.generator, WeightsFile(found.format, found.architecture, found.tensors)


def _own(name: str) -> tuple[str, str, WeightsFile]:
    (shipped,) = (weights for weights in all_shipped(Index.installed()) if weights.name == name)
    with shipped_file(shipped.weights) as path:
        return shipped.entry.kind, shipped.entry.name, read_weights(path)


def test_giant_numbers_and_lists_make_nothing(family: Family) -> None:
    content = json.loads(family.file.architecture)
    family.load(family.file.architecture)
    for place, giant in zip(leaves(content), cycle(GIANTS), strict=False):
        with watched() as made, pytest.raises(InputError, match="the architecture in its metadata has"):
            family.load(json.dumps(put(content, place, giant)))
        assert made == Made()
    for constant in CONSTANTS:
        place = next(place for place in leaves(content) if not isinstance(_at(content, place), dict | list))
        text = json.dumps(put(content, place, "HERE")).replace('"HERE"', constant)
        with watched() as made, pytest.raises(InputError, match="has the number"):
            family.load(text)
        assert made == Made()


def _at(content: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        content = content[key]
    return content


def test_strange_values_end_in_one_message_and_little_work(family: Family) -> None:
    content = json.loads(family.file.architecture)
    choices = [(place, value) for place in leaves(content) for value in STRANGE]
    refused = 0
    for place, value in random.Random(0).sample(choices, min(len(choices), 50)):
        with watched() as made, suppress(MlvgmError):
            refused += 1
            family.load(json.dumps(put(content, place, value)))
            refused -= 1
        # A network that fits is made twice at most, without memory and with it, and may be folded.
        assert made.count <= 8 * len(family.file.tensors) + 200
        assert made.numbers <= 8 * family.numbers + 10_000
    assert refused > 20


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "7", "null", '"text"', "[" * 50_000, '{"a":' * 20_000, '{"generator": 3, "encoder": []}']
)
def test_what_is_no_architecture_at_all(text: str, tmp_path: Path) -> None:
    tensors = {"weight": torch.zeros(2, 2)}
    path = tmp_path / "weights.safetensors"
    for name, family in (("nvae", "nvae"), ("vdvae", "vdvae"), ("stylegan2", "stylegan2"), ("biggan", "biggan")):
        write_weights(path, WeightsFile(f"mlvgm-{family}/1", text, tensors))
        with pytest.raises(InputError, match=r"no valid|the architecture in its metadata"):
            build("generators", name, {"weights": str(path)})


def test_the_command_refuses_them_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, _, good = _own("generators/nvae/clean")
    architecture = json.loads(good.architecture) | {"groups": [10_000_000, 3, 2]}
    path = tmp_path / "hostile.safetensors"
    write_weights(path, WeightsFile(good.format, json.dumps(architecture), good.tensors))
    for arguments in (["weights", "verify", str(path)], ["run", "mix", "--set", f"generator.weights={path}"]):
        with watched() as made, pytest.raises(SystemExit) as stopped:
            main([*arguments, *(["--out", str(tmp_path / "mix.png")] if "mix" in arguments else [])])
        printed = capsys.readouterr()
        assert stopped.value.code in (1, 2) and made == Made()
        assert "has the number 10000000" in " ".join((printed.out + printed.err).split())
