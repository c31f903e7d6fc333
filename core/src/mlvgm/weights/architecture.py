"""Architectures in the metadata of weights files: nothing is computed for what the tensors beside them cannot be of.

Whoever wrote a file also wrote its architecture, and a few bytes there can ask for billions of layers. Two bounds hold
for every family, without knowing what its fields mean. No number in an architecture is larger than what the tensors
have (the longest axis, or how many there are), unless it is too small to matter, and no list is longer. And a network
is first made without memory, which ends as soon as it has many more parameters than the file has tensors
(:func:`mlvgm.weights.file.fitting`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from mlvgm.errors import InputError
from mlvgm.weights.file import WeightsFile
from mlvgm.weights.pickles.scalars import printable

A = TypeVar("A", bound=BaseModel)

# Numbers and lists up to these cost nothing, whatever they are of; sides of images may be longer than any axis.
_HARMLESS_NUMBER = 4096
_HARMLESS_LENGTH = 64

_AGAIN = "convert it again, or fetch the file again"


def metadata_of(file: WeightsFile, path: Path) -> Any:
    """The architecture in ``file`` as plain values.

    Raises:
        InputError: it is no JSON, or has numbers or lists that are too large for the tensors, or not finite.
    """
    try:
        content = json.loads(file.architecture)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: its metadata hold no valid architecture: {_reason(error)}", hint=_AGAIN) from error
    axes = (max(tensor.shape, default=1) for tensor in file.tensors.values() if tensor.numel())
    number = max(_HARMLESS_NUMBER, len(file.tensors), *axes, 0)
    length = max(_HARMLESS_LENGTH, len(file.tensors))
    for value in _values(content):
        if isinstance(value, int) and abs(value) > number:
            problem = f"has the number {printable(str(value)[:20])}, larger than anything among its tensors ({number})"
        elif isinstance(value, float) and not math.isfinite(value):
            problem = f"has the number {value}"
        elif isinstance(value, list | dict) and len(value) > length:
            problem = f"has a list of {len(value)}, for {len(file.tensors)} tensors"
        else:
            continue
        raise InputError(f"{path}: the architecture in its metadata {problem}", hint=_AGAIN)
    return content


def parts_of(file: WeightsFile, path: Path, *names: str) -> tuple[Any, ...]:
    """The entries ``names`` of an architecture that describes several networks.

    Raises:
        InputError: see :func:`metadata_of`; or it has no such entries.
    """
    content = metadata_of(file, path)
    if not isinstance(content, dict) or not {*names} <= content.keys():
        described_parts = " and ".join(names)
        message = f"{path}: its metadata hold no valid architecture: expected one of {described_parts}"
        raise InputError(message, hint=_AGAIN)
    return tuple(content[name] for name in names)


def _values(content: Any) -> Iterator[Any]:
    waiting = [content]
    while waiting:
        value = waiting.pop()
        yield value
        if isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value


def described(model: type[A], content: Any, path: Path) -> A:
    """``content`` as a ``model``.

    Args:
        model: of an architecture.
        content: from :func:`metadata_of`, or a part of it.
        path: named in errors.

    Raises:
        InputError: it is not one.
    """
    try:
        return model.model_validate(content)
    except Exception as error:  # a model checks values that nobody thought of with whatever they raise
        kind = model.__name__.removesuffix("Architecture")
        raise InputError(
            f"{path}: its metadata hold no valid {kind} architecture: {_reason(error)}", hint=_AGAIN
        ) from error


def _reason(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return printable(": ".join(filter(None, (".".join(map(str, first["loc"])), first["msg"])))[:200])
    return printable(f"{type(error).__name__}: {error}"[:200])
