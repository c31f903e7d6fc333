"""Blame: whose code an unexpected error came from, so that its message can name the plugin."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterable, Iterator

from mlvgm.errors import MlvgmError, PluginError
from mlvgm.foreign.others import described
from mlvgm.plugins.descriptors import Component
from mlvgm.plugins.entry import Entry
from mlvgm.plugins.index import Index
from mlvgm.plugins.scan import damage

_NAMED = 3
_EXITS = {"mlvgm.cli.main", "typer.core"}  # end commands by SystemExit


def blamed(error: BaseException, index: Index | None = None) -> PluginError | None:
    """The error in the words of users if a plugin's code raised it, by itself or in what it called; else None.

    Args:
        error: anything but our own errors, which say enough.
        index: whose plugins may have; the installed ones by default.
    """
    if isinstance(error, (MlvgmError, KeyboardInterrupt)) or _EXITS.intersection(_modules_of(error)[:1]):
        return None
    damaged = damage(error)
    if damaged is not None:
        return PluginError(f"a distribution is damaged: {damaged}", hint="uninstall it")
    entries = culprits(error, (Index.installed() if index is None else index).entries())
    if not entries:
        return None
    names = sorted({f"{entry.kind}/{entry.name}" for entry in entries})
    what = f"{', '.join(names)} of " if len(names) <= _NAMED else ""
    text = f"plugin {what}{entries[0].provider} failed: {described(error)}"
    return PluginError(text, hint="a bug in the plugin, or something it cannot take; --traceback shows where")


def culprits(error: BaseException, entries: Iterable[Entry]) -> list[Entry]:
    """The entries of the innermost plugin in an error's traceback: those that the code is of, as far as that is known.

    A frame in the module of a component's factory tells the component; any other one of the package only the
    distribution.
    """
    modules = _modules_of(error)
    homes = [(entry, set(_modules(entry))) for entry in entries]
    for module in modules:
        package = module.partition(".")[0]
        own = [(entry, home) for entry, home in homes if package in {name.partition(".")[0] for name in home}]
        if package and own:
            makers = [[entry for entry, home in own if name in home] for name in modules]
            return next((found for found in makers if found), [entry for entry, _ in own])
    return []


def _modules_of(error: BaseException) -> list[str]:
    """The modules in an error's traceback, innermost first."""
    return [str(frame.f_globals.get("__name__", "")) for frame, _ in traceback.walk_tb(error.__traceback__)][::-1]


def _modules(entry: Entry) -> Iterator[str]:
    """Where a plugin's code is: modules of its descriptor and, where that is imported already, of its factory."""
    module, _, attribute = entry.target.partition(":")
    yield module.strip()
    found = entry.component if entry.component is not None else sys.modules.get(module.strip())
    for part in attribute.strip().split(".") if entry.component is None and attribute else ():
        found = getattr(found, part, None)
    if isinstance(found, Component):
        yield str(found.factory).partition(":")[0]
