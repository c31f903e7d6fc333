"""Weights by name: what ships, the project's own files, and checkpoints that are converted on the fly."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from mlvgm.errors import InputError, MlvgmError
from mlvgm.plugins.descriptors import Component, Weights
from mlvgm.weights.architecture import A, described, metadata_of
from mlvgm.weights.container import Container, Converted, read_container
from mlvgm.weights.file import N, WeightsFile, filled, read_weights
from mlvgm.weights.options import read_options
from mlvgm.weights.pickles.scalars import printable
from mlvgm.weights.shipped import shipped_file

Converter = Callable[[Container], Converted | None]


def load_weights(
    name: str,
    *,
    shipped: Sequence[Weights],
    formats: Sequence[str],
    convert: Converter,
    options: Mapping[str, Any] | None = None,
) -> WeightsFile:
    """The weights called ``name``.

    Args:
        name: of shipped weights, or a path: a file of ours, or a checkpoint that ``convert`` knows.
        shipped: weights of the component.
        formats: formats of ours that the caller reads.
        convert: the component's converter.
        options: constructor arguments for what a checkpoint's tensors do not tell.

    Raises:
        InputError: nothing has that name, or the file is missing, damaged, hostile or of another family.
    """
    known = {weights.name: weights for weights in shipped}
    if name in known:
        with shipped_file(known[name]) as path:
            return read_weights(path, sha256=known[name].sha256)
    path = Path(name).expanduser()
    if not path.exists():
        names = ", ".join(sorted(known)) or "none"
        raise InputError(f"weights '{name}': neither shipped ({names}) nor an existing file")
    if path.suffix == ".safetensors":
        file_of_ours = read_weights(path)
        if file_of_ours.format in formats:
            return file_of_ours
        if file_of_ours.format:
            expected = " or ".join(f"'{known_format}'" for known_format in formats)
            raise InputError(f"{path}: expected weights of format {expected}, came '{file_of_ours.format}'")
    found = converted(convert, read_container(path, options=options))
    if found is None:
        raise InputError(
            f"{path}: not a checkpoint of this family",
            hint="`mlvgm weights convert` tells which family a checkpoint is of",
        )
    return WeightsFile(found.format, found.architecture, found.tensors, {"layout": found.layout})


def generator_weights(
    component: Component, name: str, *, format: str, config: Path | None = None, **options: Any
) -> WeightsFile:
    """The weights called ``name`` of a generator, whose descriptor tells what ships and who converts.

    Args:
        component: the descriptor.
        name: see :func:`load_weights`.
        format: of the family's own files.
        config: file of constructor arguments, which win over ``options``.
        options: constructor arguments.

    Raises:
        InputError: see :func:`load_weights`; or ``config`` is missing or holds no mapping.
    """
    module, _, attribute = str(component.converter).partition(":")
    convert: Converter = getattr(import_module(module), attribute)
    given = {**options, **read_options(config)}
    return load_weights(name, shipped=component.weights, formats=(format,), convert=convert, options=given)


def converted(convert: Converter, container: Container) -> Converted | None:
    """What a converter makes of a container; None if it is of another family.

    Raises:
        InputError: the converter recognises it, and it is incomplete, damaged or needs options.
    """
    try:
        return convert(container)
    except MlvgmError:
        raise
    except Exception as error:  # a converter meets a damaged checkpoint with whatever its lookups and shapes raise
        reason = printable(f"{type(error).__name__}: {error}")
        raise InputError(f"{container.path}: incomplete, damaged or unsupported checkpoint ({reason})") from error


def assemble(file: WeightsFile, path: Path, *, architecture: type[A], network: Callable[[A], N]) -> N:
    """The network in ``file``, in evaluation mode; its metadata are one architecture.

    Args:
        file: of a format the caller reads.
        path: named in errors.
        architecture: pydantic model of the metadata.
        network: makes one of an architecture.

    Raises:
        InputError: the architecture is not valid, or the tensors do not fit it.
    """
    found = described(architecture, metadata_of(file, path), path)
    return filled(lambda: network(found), file.tensors, path)
