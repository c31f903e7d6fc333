"""Constructor arguments of published checkpoints, for what their tensors do not tell."""

from __future__ import annotations

from collections.abc import Mapping
from math import nan
from pathlib import Path
from typing import Any

from mlvgm.errors import InputError


def option(options: Mapping[str, Any], name: str) -> Any:
    """The value of ``name``, at the top or within an object in ``options``; None if it is nowhere."""
    nested = (value[name] for value in options.values() if isinstance(value, Mapping) and name in value)
    return options[name] if name in options else next(nested, None)


def number(options: Mapping[str, Any], name: str, *, path: Path) -> float | None:
    """The positive number that ``options`` have for ``name``; None without it.

    Raises:
        InputError: it is something else.
    """
    value = option(options, name)
    try:
        # YAML takes 1e-05 for a string.
        found = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else nan
    except ValueError:
        found = nan
    if value is not None and not found > 0:
        raise InputError(f"{path}: expected a positive number for {name}, got {value!r}")
    return None if value is None else found


def check(options: Mapping[str, Any], found: Mapping[str, Any], *, path: Path) -> None:
    """Refuse options that are not those of the tensors.

    Args:
        options: as given.
        found: what the tensors say, under the options' names.
        path: of the checkpoint, for the message.

    Raises:
        InputError: an option has another value than the tensors.
    """
    for name, value in found.items():
        given = option(options, name)
        # Of the same name, but a list: derived by the reference, no argument.
        if isinstance(given, int | float) and given != value:
            message = f"{path}: its tensors have {name} {value}, the configuration says {given}"
            raise InputError(message, hint="give the configuration that belongs to this checkpoint")
