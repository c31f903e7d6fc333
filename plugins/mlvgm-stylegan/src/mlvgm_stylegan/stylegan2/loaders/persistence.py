"""Networks of the NVlabs code bases: pickles of persistence objects, or their state dicts; nothing is executed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from mlvgm.weights.container import Container, constructor_arguments, tensors_of
from mlvgm.weights.unpickle import Record

_KEYS = ("G_ema", "state_dict")


def network_of(container: Container) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """State dict and constructor arguments of the generator in ``container``.

    The generator is entry ``G_ema`` of a pickle, or the pickle itself. Arguments given beside the file, nested below
    ``generator`` or not, override those in it.
    """
    options = container.options.get("generator", container.options)
    given = dict(options) if isinstance(options, Mapping) else {}
    record = _record(container)
    inside = {} if record is None else constructor_arguments(record)
    return tensors_of(container.content, *_KEYS), {**inside, **given}


def attributes_of(container: Container, *path: str) -> Mapping[str, Any]:
    """Attributes of the module at ``path`` inside the generator; empty where there is none."""
    record = _record(container)
    for name in path:
        child = record.state.get("_modules", {}).get(name) if record is not None else None
        record = child if isinstance(child, Record) else None
    return {} if record is None else record.state


def _record(container: Container) -> Record | None:
    content = container.content
    if isinstance(content, Mapping):
        content = next((content[key] for key in _KEYS if key in content), None)
    return content if isinstance(content, Record) else None
