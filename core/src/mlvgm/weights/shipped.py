"""What ships with the installed plugins; imports no torch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from mlvgm.errors import PluginError
from mlvgm.plugins.descriptors import Weights
from mlvgm.plugins.entry import Entry
from mlvgm.plugins.index import HOOKS, Index
from mlvgm.plugins.load import descriptor


@dataclass(frozen=True)
class Shipped:
    """Weights of an installed component.

    Args:
        entry: the component.
        weights: their descriptor.
    """

    entry: Entry
    weights: Weights

    @property
    def name(self) -> str:
        """``"generators/nvae/clean"``."""
        return f"{self.entry.kind}/{self.entry.name}/{self.weights.name}"

    @property
    def size(self) -> int | None:
        """Bytes of the file; None where it is missing."""
        try:
            with shipped_file(self.weights) as path:
                return path.stat().st_size
        except OSError:
            return None

    def record(self) -> dict[str, Any]:
        """What can be said of them in plain values."""
        kind, component, distribution = self.entry.kind, self.entry.name, self.entry.distribution
        return {
            "kind": kind,
            "component": component,
            "distribution": distribution,
            "name": self.weights.name,
            "bytes": self.size,
            "licence": self.weights.licence,
            "sha256": self.weights.sha256,
            "summary": self.weights.summary,
        }


def all_shipped(index: Index) -> list[Shipped]:
    """Everything that ships with the plugins of ``index``; plugins that do not load have nothing."""
    found = []
    for entry in index.entries():
        if entry.kind == HOOKS:
            continue
        try:
            component = descriptor(entry)
        except PluginError:
            continue
        found += [Shipped(entry, weights) for weights in component.weights]
    return found


@contextmanager
def shipped_file(weights: Weights) -> Iterator[Path]:
    """The file of shipped weights."""
    package, _, file = weights.file.partition(":")
    with resources.as_file(resources.files(package) / file) as path:
        yield path
