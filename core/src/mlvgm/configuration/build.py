"""Components of a configuration, built. Imports no torch itself: a component that needs none costs none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlvgm.configuration.part import Part
from mlvgm.configuration.resolve import options_of, tree
from mlvgm.configuration.settings import Setting
from mlvgm.errors import ConfigError, PluginError
from mlvgm.foreign.others import guarded
from mlvgm.plugins.contracts import difference
from mlvgm.plugins.kinds import protocols
from mlvgm.plugins.load import build, component
from mlvgm.protocols.data import Dataset, Split
from mlvgm.reading import size_of


def part_from(kind: str, settings: Mapping[str, Setting], *, default: str | None = None) -> Part:
    """The component that settings (those below its group) describe, its options checked and filled in.

    Raises:
        ConfigError: an option is unknown or out of bounds, or nobody has named the component.
        PluginError: there is no such component.
    """
    return Part.model_validate(tree(options_of(kind, settings, default=default)))


def build_part(kind: str, part: Part, **parts: Any) -> Any:
    """Build one component of a configuration (``kind`` as ``"generators"``, ``"attacks"``, …)."""
    return build(kind, part.name, part.options, **parts)


def build_placed(kind: str, part: Part, device: str, **parts: Any) -> Any:
    """Build one component of a configuration and move it to a device.

    Raises:
        PluginError: it cannot be moved.
    """
    made = build_part(kind, part, **parts)
    entry = component(kind, part.name).entry
    with guarded(lambda text: PluginError(f"plugin {entry} cannot be moved to device '{device}': {text}")):
        placed = made.to(device)
        wrong = difference(placed, protocols(kind))
    if wrong is not None:
        raise PluginError(f"plugin {entry}: its to() returned {wrong}")
    return placed


def build_data(part: Part, *, split: Split, limit: int | None = None) -> tuple[Dataset, tuple[int, ...]]:
    """The data set of a run and the sample ids it uses: the first ``limit`` of a split, all if None.

    Raises:
        InputError: data are missing or broken.
        ConfigError: the split has no images.
    """
    data: Dataset = build_part("datasets", part)
    size = size_of(data, split)
    if not size:
        raise ConfigError(f"split '{split}' of data '{part.name}' is empty")
    return data, tuple(range(size if limit is None else min(limit, size)))


def check_device(device: str) -> None:
    """Refuse a device that torch cannot compute on.

    Raises:
        ConfigError: it is unknown or not there.
    """
    if device == "cpu":
        return
    import torch

    try:
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError, NotImplementedError, ValueError) as error:
        why = str(error).partition("\n")[0].partition(". ")[0] or type(error).__name__
        raise ConfigError(f"device '{device}' is not available: {why}") from None
