"""Constructor arguments of published checkpoints, for what their tensors do not tell."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import inf, nan
from pathlib import Path
from typing import Any

from mlvgm.errors import InputError
from mlvgm.weights.container import Container
from mlvgm.weights.record import Record


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
    except (ValueError, OverflowError):
        found = nan
    if value is not None and not 0 < found < inf:
        raise InputError(f"{path}: expected a positive number for {name}, got {value!r}")
    return None if value is None else found


def whole(options: Mapping[str, Any], name: str, *, path: Path) -> int | None:
    """The positive whole number that ``options`` have for ``name``; None without it.

    Raises:
        InputError: it is something else.
    """
    found = number(options, name, path=path)
    if found is not None and not found.is_integer():
        raise InputError(f"{path}: expected a whole number for {name}, got {option(options, name)!r}")
    return None if found is None else int(found)


def require(options: Mapping[str, Any], names: Iterable[str], *, path: Path, published: str) -> None:
    """Refuse a checkpoint whose tensors do not tell ``names`` if nothing beside them does.

    Args:
        options: as given, and as the checkpoint holds them.
        names: of constructor arguments without which another function would be computed.
        path: of the checkpoint, for the message.
        published: their values in published models.

    Raises:
        InputError: some are missing.
    """
    missing = [name for name in names if option(options, name) is None]
    if missing:
        them = "it" if len(missing) == 1 else "them"
        raise InputError(
            f"{path}: neither its tensors nor anything beside them tell {' and '.join(missing)}",
            hint=f"give {them} in a JSON or YAML file with --config, or --set generator.config=FILE; {published}",
        )


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


def arguments(container: Container, key: str) -> dict[str, Any]:
    """Arguments in ``container`` below ``key`` (a dict or a namespace), overridden by those given beside it.

    Those beside it may be nested below ``key`` too.
    """
    content = container.content if isinstance(container.content, Mapping) else {}
    return {**_flat({key: content.get(key)}, key), **_flat(container.options, key)}


def _flat(options: Mapping[str, Any], key: str) -> dict[str, Any]:
    nested = options.get(key)
    nested = nested.state if isinstance(nested, Record) else nested
    rest = {name: value for name, value in options.items() if name != key}
    return {**nested, **rest} if isinstance(nested, Mapping) else rest
