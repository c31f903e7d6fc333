"""From a checkpoint of another code base to a weights file: the installed generators are asked whose it is."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlvgm.errors import InputError, MlvgmError, PluginError
from mlvgm.plugins.describe import PluginWarning, descriptor
from mlvgm.plugins.descriptors import Component
from mlvgm.plugins.index import Index
from mlvgm.plugins.load import Resolved, component, converter
from mlvgm.weights.container import Container, Converted, read_container
from mlvgm.weights.file import WeightsFile, check_finite, write_weights
from mlvgm.weights.load import Converter, converted
from mlvgm.weights.pickles.scalars import printable

SUFFIX = ".safetensors"
# Converted weights may be in a wider type than the checkpoint's, and small files may repeat a tensor.
_GROWTH = 8
_SPARE_BYTES = 64 << 20


@dataclass(frozen=True)
class Conversion:
    """What a conversion made.

    Args:
        path: the weights file.
        generator: that reads it.
        layout: which code base wrote the checkpoint.
        format: of the file.
        tensors: number of tensors.
        numbers: number of numbers in them.
    """

    path: Path
    generator: str
    layout: str
    format: str
    tensors: int
    numbers: int


def convert(
    src: Path,
    dst: Path,
    *,
    options: Mapping[str, Any] | None = None,
    family: str | None = None,
    force: bool = False,
    index: Index | None = None,
) -> Conversion:
    """Turn the checkpoint ``src`` into the weights file ``dst``, which appears whole or not at all.

    Args:
        src: a pickle, a PyTorch file or a bare state dict in safetensors; nothing in it is executed.
        dst: a ``.safetensors`` file.
        options: constructor arguments for what the tensors do not tell.
        family: the generator whose checkpoint it is; by default the one that recognises it.
        force: replace ``dst`` if it exists.
        index: where to look for generators; the installed plugins by default.

    Raises:
        InputError: ``dst`` is in the way or no weights file, or ``src`` is unreadable, damaged, hostile, of no
            installed family or of several.
        PluginError: ``family`` is unknown or has no converter.
    """
    _check_target(src, dst, force=force)
    container = read_container(src, options=options)
    generator, found = recognise(container, family, Index.installed() if index is None else index)
    _check(found, src)
    note = {"layout": found.layout, "source": printable(src.name)}
    content = WeightsFile(found.format, found.architecture, found.tensors, note)
    write_weights(dst, content)
    numbers = sum(tensor.numel() for tensor in found.tensors.values())
    return Conversion(dst, generator, found.layout, found.format, len(found.tensors), numbers)


def _check_target(src: Path, dst: Path, *, force: bool) -> None:
    if dst.suffix != SUFFIX:
        raise InputError(f"expected a file that ends in {SUFFIX}, came '{dst}'", hint="name it with --to")
    if not dst.parent.is_dir():
        raise InputError(f"folder '{dst.parent}' does not exist", hint="make it first")
    if dst.exists() and (dst.is_dir() or not force or dst.resolve() == src.resolve()):
        raise InputError(f"'{dst}' exists", hint="choose another name, or replace a file with --force")


def recognise(container: Container, family: str | None, index: Index) -> tuple[str, Converted]:
    """The generator whose checkpoint it is, and what it makes of it.

    Args:
        container: the checkpoint.
        family: the generator to ask; all installed ones if None.
        index: where to look for generators.

    Raises:
        InputError: it is damaged, or of no installed family, or of several.
        PluginError: ``family`` is unknown or has no converter.
    """
    if family is not None:
        resolved = component("generators", family, index=index)
        found = converted(converter(resolved), container)
        if found is None:
            raise InputError(
                f"{container.path}: not a checkpoint of {family}",
                hint="leave out --as to ask every installed generator",
            )
        return family, found
    recognised, refused, asked = {}, [], []
    for name, ask in _converters(index):
        asked.append(name)
        try:
            found = converted(ask, container)
        except MlvgmError as error:
            refused.append(error)
            continue
        if found is not None:
            recognised[name] = found
    if len(recognised) == 1:
        return recognised.popitem()
    if recognised:
        names = " and ".join(recognised)
        raise InputError(f"{container.path}: {names} recognise it", hint="say which one it is for with --as NAME")
    if refused:
        raise refused[0]
    names = ", ".join(asked) or "none is installed"
    raise InputError(
        f"{container.path}: no checkpoint of a known family (asked: {names})", hint="install the plugin of its family"
    )


def _converters(index: Index) -> Iterator[tuple[str, Converter]]:
    """The generators that convert, by the name a user would type; one that does not load is told and skipped."""
    for name, entry in zip(index.names("generators"), index.entries("generators"), strict=True):
        try:
            resolved = Resolved(entry, descriptor(entry, Component))
            if resolved.component.converter is not None:
                yield name, converter(resolved)
        except PluginError as error:
            warnings.warn(str(error), PluginWarning, stacklevel=2)


def _check(found: Converted, src: Path) -> None:
    size = sum(tensor.numel() * tensor.element_size() for tensor in found.tensors.values())
    if size > _GROWTH * src.stat().st_size + _SPARE_BYTES:
        raise InputError(f"{src}: its weights would take {size:,} bytes, far more than its own", hint="it is damaged")
    check_finite(found.tensors, src)
