"""The event bus: pluggy calls the hook modules that stevedore loaded. Observers never disturb a run."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any

import pluggy

from mlvgm.errors import PluginError
from mlvgm.plugins import hookspecs
from mlvgm.plugins.check import Check
from mlvgm.plugins.entry import Entry
from mlvgm.plugins.index import Index
from mlvgm.plugins.load import PluginWarning, hook_modules


class Hooks:
    """Tells plugins what happens.

    Modules that do not load, or implement an event wrongly, are left out and reported by :meth:`checks`.

    Args:
        index: whose ``hooks`` entries listen; the installed plugins by default.
        observers: further objects or modules with hook implementations, of this process.

    Example:
        >>> from mlvgm.plugins.hookspecs import hookimpl
        >>> from mlvgm.plugins.index import Index
        >>> class Counter:
        ...     units = 0
        ...     @hookimpl
        ...     def mlvgm_unit_done(self, record):
        ...         self.units += 1
        >>> counter = Counter()
        >>> hooks = Hooks(Index(), observers=[counter])
        >>> hooks.tell("mlvgm_unit_done", run=None, record={})
        []
        >>> counter.units
        1
    """

    def __init__(self, index: Index | None = None, *, observers: Iterable[object] = ()) -> None:
        self._failures: list[Check] = []
        self._manager = pluggy.PluginManager(hookspecs.PROJECT)
        self._manager.add_hookspecs(hookspecs)
        for entry, module in hook_modules(Index.installed() if index is None else index, on_failure=self._record):
            self._register(entry, module)
        for observer in observers:
            self._manager.register(observer)

    def tell(self, event: str, **arguments: Any) -> list[Any]:
        """Call every implementation of ``event`` and collect what they return.

        An implementation that raises is reported as a :class:`~mlvgm.plugins.load.PluginWarning`; the others still run.
        """
        results: list[Any] = []
        for plugin in self._manager.get_plugins():
            others = self._manager.get_plugins() - {plugin}
            try:
                results += self._manager.subset_hook_caller(event, others)(**arguments)
            except Exception as error:
                name = self._manager.get_name(plugin)
                text = f"hook {event} of {name} failed: {type(error).__name__}: {error}"
                warnings.warn(text, PluginWarning, stacklevel=2)
        return results

    def checks(self) -> tuple[Check, ...]:
        """Hook modules that were left out, and implementations of events that do not exist."""
        return (*self._failures, *self._pending())

    def _register(self, entry: Entry, module: object) -> None:
        try:
            self._manager.register(module, name=entry.qualified)
        except (pluggy.PluginValidationError, ValueError) as error:
            self._manager.unregister(name=entry.qualified)
            self._record(entry, PluginError(f"plugin {entry}: {error}"))

    def _record(self, entry: Entry, error: PluginError) -> None:
        self._failures.append(Check(f"hooks/{entry.name}", "problem", " ".join(str(error).split())))

    def _pending(self) -> list[Check]:
        """As pluggy's ``check_pending``, which stops at the first."""
        return [
            Check(
                f"hooks/{self._manager.get_name(plugin)}",
                "warning",
                f"implements {caller.name}, an event that does not exist",
            )
            for plugin in self._manager.get_plugins()
            for caller in self._manager.get_hookcallers(plugin) or ()
            if not caller.has_spec()
        ]
