"""Parts: the components that a configuration names, each with its kind and all its options."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Part(BaseModel):
    """A component: its name and all its options."""

    model_config = ConfigDict(frozen=True, extra="allow")

    name: str = Field(description="name of the component, NAME or NAME:ARGUMENT")

    @property
    def options(self) -> dict[str, Any]:
        return dict(self.__pydantic_extra__ or {})


def part_of(kind: str, default: str | None = None, *, description: str = "", required: bool = True) -> Any:
    """A field of a configuration that holds a :class:`Part`.

    Args:
        kind: of the component, such as ``"datasets"``.
        default: name of the component that stands there unless told otherwise; None: the user has to choose one.
        description: of the field.
        required: else the field may be None.
    """
    more: dict[str, Any] = {"kind": kind, "default": default}
    return Field(... if required else None, description=description, json_schema_extra=more)


def kinds_of(config: type[BaseModel]) -> dict[str, tuple[str, str | None]]:
    """Kind and default name of every part of a class of configurations, by field."""
    found = {}
    for name, field in config.model_fields.items():
        more = field.json_schema_extra
        if isinstance(more, dict) and "kind" in more:
            found[name] = (str(more["kind"]), None if more["default"] is None else str(more["default"]))
    return found


def parts_of(config: BaseModel) -> Iterator[tuple[str, Part]]:
    """Every component of a configuration with its kind, those in lists of models as often as they stand there."""
    kinds = kinds_of(type(config))
    for name in type(config).model_fields:
        value = getattr(config, name)
        if isinstance(value, Part) and name in kinds:
            yield kinds[name][0], value
        elif isinstance(value, BaseModel):
            yield from parts_of(value)
        elif isinstance(value, tuple | list):
            for one in value:
                if isinstance(one, BaseModel):
                    yield from parts_of(one)
