"""Which values fit which fields, one rule for all options: what pydantic would bend to fit is refused.

Booleans are no numbers and numbers no booleans; texts that spell a number or boolean are taken as such; numbers are
finite, whole numbers fit 64 bits.
"""

from __future__ import annotations

import difflib
import math
import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

from mlvgm.plain_yaml import parse

if TYPE_CHECKING:
    from pydantic import BaseModel

_WORDS: Mapping[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    Path: "a path",
    type(None): "null",
}
_LARGEST = 2**63
_LONGEST = 80


class Misfit(ValueError):
    """A value that no alternative of its field's type takes; the message says what it must be."""


def fitted(model: type[BaseModel], given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[tuple[str, ...], str]]:
    """The values of ``given`` as the fields of ``model`` take them, and what is wrong with the others.

    Args:
        model: of the options.
        given: field values, nested mappings for nested models. What is no field is left for the model to judge, but
            where pydantic would drop it in silence.

    Returns:
        values, and by place the complaint about each that does not fit, e.g. ``{("eps",): "must be a number"}``.
    """
    values: dict[str, Any] = dict(given)
    complaints: dict[tuple[str, ...], str] = {}
    for name, value in given.items():
        field = model.model_fields.get(name)
        if field is None:
            if model.model_config.get("extra", "ignore") == "ignore" and name not in _aliases(model):
                complaints[(name,)] = unknown_option(name, model.model_fields)
            continue
        nested = model_of(field.annotation)
        if nested is not None and isinstance(value, Mapping):
            values[name], below = fitted(nested, value)
            complaints |= {(name, *place): complaint for place, complaint in below.items()}
            continue
        try:
            values[name] = fit(value, field.annotation)
        except Misfit as misfit:
            complaints[(name,)] = f"{misfit} (got {shown(value)})"
    return values, complaints


def shown(value: Any) -> str:
    """A value in a message: as Python writes it, cut off where it is long."""
    text = repr(value) if not isinstance(value, int) or abs(value) < _LARGEST else "a larger number"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def fit(value: Any, annotation: Any) -> Any:
    """``value`` as a field of that type takes it.

    Raises:
        Misfit: it takes no such value.

    >>> fit("8", int), fit(2024, str), fit(1e3, int), fit([1, "2"], tuple[int, ...])
    (8, '2024', 1000, [1, 2])
    """
    alternatives = [*_alternatives(annotation)]
    misfits = []
    # A text stays a text where texts are taken; a number becomes one only where nothing else will do.
    for alternative in sorted(alternatives, key=lambda one: one is not type(value)):
        try:
            return _fit_one(value, alternative)
        except Misfit as misfit:
            misfits.append(str(misfit))
    told = [words for words in misfits if words != "must be null"] or misfits
    raise Misfit(" or ".join(dict.fromkeys(told)).replace(" or must be", " or"))


def _alternatives(annotation: Any) -> Iterator[Any]:
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        for argument in get_args(annotation):
            yield from _alternatives(argument)
    elif origin is Annotated:
        yield from _alternatives(get_args(annotation)[0])
    else:
        yield annotation


def _fit_one(value: Any, kind: Any) -> Any:
    origin, arguments = get_origin(kind), get_args(kind)
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):  # a number of NumPy or torch
        value = value.item()
    if origin in (tuple, list):
        if not isinstance(value, Sequence) or isinstance(value, str):
            raise Misfit("must be a list")
        return [fit(item, of) for item, of in zip(value, _of_items(origin, arguments, len(value)), strict=True)]
    if isinstance(value, str) and kind in (bool, int, float, type(None)):
        value = _spelled(value)
    if kind is bool and not isinstance(value, bool):
        raise Misfit("must be true or false")
    if kind in (int, float):
        return _number(value, kind)
    if kind is type(None) and value is not None:
        raise Misfit("must be null")
    if kind in (str, Path):
        if type(value) is int:  # a name that looks like a number
            return str(value)
        if not isinstance(value, str | Path):
            raise Misfit(f"must be {_WORDS[kind]}")
    if origin is Literal and isinstance(value, bool) and value not in [one for one in arguments if type(one) is bool]:
        raise Misfit(f"must be {' or '.join(map(repr, arguments))}")
    return value


def _of_items(origin: Any, arguments: tuple[Any, ...], count: int) -> Sequence[Any]:
    """The type of each of ``count`` items of a list or tuple; a wrong count is for pydantic to say."""
    if origin is list or (len(arguments) == 2 and arguments[1] is Ellipsis):
        return [arguments[0]] * count
    return [*arguments, *[Any] * count][:count]


def _number(value: Any, kind: type) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Misfit(f"must be {_WORDS[kind]}")
    if isinstance(value, float) and not math.isfinite(value):
        raise Misfit("must be a finite number")
    if kind is int and value != int(value):
        raise Misfit("must be a whole number")
    if abs(value) >= _LARGEST and int in (kind, type(value)):
        raise Misfit("must be below 2^63")
    return int(value) if kind is int else value


def _spelled(text: str) -> Any:
    try:
        return parse(text)
    except ValueError:
        return text


def model_of(annotation: Any) -> type[BaseModel] | None:
    """The nested model that a field of this type takes; None for other types."""
    from pydantic import BaseModel

    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def _aliases(config: type[BaseModel]) -> set[str]:
    """Other names that fields of a model can be given by."""
    aliases = [alias for info in config.model_fields.values() for alias in (info.alias, info.validation_alias)]
    return {alias for alias in aliases if isinstance(alias, str)}


def unknown_option(name: str, known: Iterable[str]) -> str:
    """The complaint about a name that is none of ``known``."""
    near = difflib.get_close_matches(name, known := list(known), n=1)
    suggestion = f"did you mean '{near[0]}'? " if near else ""
    return f"unknown option ({suggestion}known: {', '.join(sorted(known)) or 'none'})"
