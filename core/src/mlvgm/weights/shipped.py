"""What ships with the installed plugins; imports no torch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from mlvgm.errors import InputError, PluginError
from mlvgm.plugins.describe import descriptor
from mlvgm.plugins.descriptors import Component, Weights
from mlvgm.plugins.entry import Entry
from mlvgm.plugins.index import HOOKS, Index


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
        return size_of(self.weights)

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
            component = descriptor(entry, Component)
        except PluginError:
            continue
        found += [Shipped(entry, weights) for weights in component.weights]
    return found


def size_of(weights: Weights) -> int | None:
    """Bytes of the file of shipped weights; None where it is missing."""
    try:
        with shipped_file(weights) as path:
            return path.stat().st_size
    except (OSError, InputError):
        return None


@contextmanager
def shipped_file(weights: Weights) -> Iterator[Path]:
    """The file of shipped weights.

    Raises:
        InputError: the package it is to be in is not there.
    """
    package, _, file = weights.file.partition(":")
    try:
        folder = resources.files(package)
    except (ImportError, TypeError) as error:
        text = f"weights '{weights.name}' are missing: {weights.file}: {error}"
        raise InputError(text, hint="install their plugin again") from error
    with resources.as_file(folder / file) as path:
        yield path
