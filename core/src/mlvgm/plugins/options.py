"""Options of a component: checked by its pydantic model, refused in one line, shown as a table."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

from mlvgm.errors import ConfigError
from mlvgm.plugins.values import fitted, model_of, shown, unknown_option

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

_BOUNDS = {
    "gt": ">",
    "ge": ">=",
    "lt": "<",
    "le": "<=",
    "multiple_of": "multiple of",
    "min_length": "length >=",
    "max_length": "length <=",
}
_COMPARISONS = ("gt", "ge", "lt", "le", "multiple_of")


@dataclass(frozen=True)
class Option:
    """One configuration field, in words.

    Args:
        name: dotted below the component, e.g. ``"sampling.temperature"``.
        type: as a user would write it.
        default: its text; None for a required option.
        bounds: e.g. ``">= 0, <= 1"``; empty without.
        description: what it means, with its unit.
    """

    name: str
    type: str
    default: str | None
    bounds: str
    description: str


def validate(config: type[BaseModel], options: Mapping[str, Any], *, prefix: str) -> BaseModel:
    """The configuration that ``options`` make, nested mappings for nested models.

    Args:
        config: a component's pydantic model.
        options: field values; :mod:`mlvgm.plugins.values` says which fit.
        prefix: how the component is addressed, e.g. ``"attack"``: the first part of every option in messages.

    Options that a model does not have are refused, whatever pydantic makes of them; a model with ``extra="allow"`` asks
    for them.

    Raises:
        ConfigError: unknown options and values out of bounds, all of them, in one line.
    """
    from pydantic import ValidationError

    values, misfits = fitted(config, options)
    complaints = [f"{'.'.join((prefix, *place))}: {text}" for place, text in misfits.items()]
    try:
        made = config.model_validate(values)
    except ValidationError as error:
        for details in error.errors(include_url=False):
            if not any(details["loc"][: len(place)] == place for place in misfits):
                complaints.append(_complaint(config, prefix, details))
    if complaints:
        # A union reports each of its alternatives; the same sentence twice helps nobody.
        raise ConfigError("; ".join(dict.fromkeys(complaints)))
    return made


def table(config: type[BaseModel], *, prefix: str = "") -> tuple[Option, ...]:
    """Every option of ``config``, nested models flattened to dotted names."""
    found: list[Option] = []
    for name, info in config.model_fields.items():
        nested = model_of(info.annotation)
        if nested is not None:
            found += table(nested, prefix=f"{prefix}{name}.")
            continue
        bounds = [
            _bound(key, getattr(constraint, key))
            for constraint in (*info.metadata, *_constraints(info.annotation))
            for key in _BOUNDS
            if getattr(constraint, key, None) is not None
        ]
        found.append(
            Option(
                prefix + name,
                _type(info.annotation),
                _default(info),
                ", ".join(dict.fromkeys(bounds)),
                info.description or "",
            )
        )
    return tuple(found)


def _constraints(annotation: Any) -> Iterator[Any]:
    """Constraints inside a type: of its alternatives, or of its items."""
    if get_origin(annotation) is Annotated:
        for constraint in annotation.__metadata__:
            yield from getattr(constraint, "metadata", [constraint])
    for argument in get_args(annotation) if get_origin(annotation) is not Literal else ():
        yield from _constraints(argument)


def _bound(key: str, value: Any) -> str:
    """A bound as its author wrote it: pydantic makes ``ge=0`` of a float field 0.0."""
    return f"{_BOUNDS[key]} {int(value) if isinstance(value, float) and value.is_integer() else value}"


def _complaint(config: type[BaseModel], prefix: str, details: Any) -> str:
    kind, context, value = details["type"], details.get("ctx", {}), details["input"]
    path, fields = _locate(config, details["loc"])
    name = ".".join((prefix, *path))
    if kind == "extra_forbidden":
        return f"{name}: {unknown_option(path[-1], fields)}"
    if kind == "missing":
        field = config.model_fields.get(path[0]) if len(path) == 1 else None
        return f"{name}: is required" + (f", {field.description}" if field is not None and field.description else "")
    for key in _COMPARISONS:
        if key in context:
            return f"{name}: must be {_bound(key, context[key])} (got {shown(value)})"
    message = str(details["msg"]).removeprefix("Value error, ").replace("Input should be", "must be")
    got = "" if isinstance(value, Mapping) else f" (got {shown(value)})"
    return f"{name}: {message}{got}"


def _locate(config: type[BaseModel], location: tuple[str | int, ...]) -> tuple[list[str], list[str]]:
    """The option an error is about, and the names that are known beside it.

    pydantic's location also has the alternatives of unions (``"int"``, ``"function-after[…]"``), which are no names.
    """
    path: list[str] = []
    model: type[BaseModel] | None = config
    for part in location:
        if model is not None and isinstance(part, str):
            path.append(part)
            if part not in model.model_fields:
                break
            model = model_of(model.model_fields[part].annotation)
        elif isinstance(part, int):
            path.append(str(part))
    return path, list(model.model_fields) if model is not None else []


def _type(annotation: Any) -> str:
    """A type as a user would write its values.

    >>> _type(Literal["L2", "Linf"] | None), _type(tuple[int, ...] | str), _type(Mapping[str, float])
    ('L2 | Linf | null', 'list of int | str', 'mapping of str to float')
    """
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type(arguments[0])
    if origin is Literal:
        return " | ".join(map(str, arguments))
    if origin in (Union, UnionType):
        return " | ".join(dict.fromkeys(map(_type, arguments)))
    if annotation in (None, type(None)):
        return "null"
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return f"mapping of {_type(arguments[0])} to {_type(arguments[1])}"
    if isinstance(origin, type) and issubclass(origin, Collection):
        same = [argument for argument in arguments if argument is not Ellipsis]
        return f"list of {_type(same[0])}" if len(same) == 1 else f"[{', '.join(map(_type, same))}]"
    return str(getattr(annotation, "__name__", annotation)).replace("typing.", "")


def _default(info: FieldInfo) -> str | None:
    if info.is_required():
        return None
    try:
        return _written(info.get_default(call_default_factory=True))
    except Exception:  # it is made from the other options
        return "computed"


def _written(value: Any) -> str:
    """A value as ``--set`` takes it.

    >>> _written(None), _written(True), _written((0.5, 1.0)), _written("cosine")
    ('null', 'true', '[0.5, 1.0]', 'cosine')
    """
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(map(_written, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    return "null" if value is None else str(value)
