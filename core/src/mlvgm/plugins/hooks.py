"""The event bus: pluggy calls the hook modules that stevedore loaded. Observers never disturb a run."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable, Mapping
from contextlib import redirect_stdout
from typing import Any

import pluggy

from mlvgm.errors import PluginError
from mlvgm.foreign.others import described
from mlvgm.plugins import hookspecs
from mlvgm.plugins.check import Check
from mlvgm.plugins.describe import PluginWarning
from mlvgm.plugins.entry import Entry
from mlvgm.plugins.imports import SHOW_CAUSE, import_target
from mlvgm.plugins.index import HOOKS, Index

STRICT = "MLVGM_STRICT_PLUGINS"


def listening(environ: Mapping[str, str]) -> Hooks:
    """The hooks of a command that has something to tell: those left out are told on stderr, a line each.

    Raises:
        PluginError: ``MLVGM_STRICT_PLUGINS`` is set to 1, and a hook module does not load or fits no event.
    """
    hooks = Hooks()
    for check in hooks.checks():
        if check.status == "problem" and environ.get(STRICT, "0") not in ("", "0"):
            raise PluginError(check.detail, hint=f"{STRICT} refuses to go on without it")
        text = f"{check.detail}; its events are not told" if check.status == "problem" else check.detail
        warnings.warn(text, PluginWarning, stacklevel=2)
    return hooks


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
        listeners = (Index.installed() if index is None else index).entries(HOOKS)
        for entry in sorted(listeners, key=lambda entry: (entry.distribution, entry.name)):
            try:
                self._manager.register(import_target(entry, entry.target), name=entry.qualified)
            except PluginError as error:
                self._record(entry, str(error))
            except (pluggy.PluginValidationError, ValueError) as error:
                self._manager.unregister(name=entry.qualified)
                self._record(entry, f"plugin {entry}: {error}")
        for observer in observers:
            self._manager.register(observer)

    def tell(self, event: str, **arguments: Any) -> list[Any]:
        """Call every implementation of ``event`` and collect what they return.

        An implementation that raises is reported as a :class:`~mlvgm.plugins.describe.PluginWarning`; the others go on.
        """
        return [reply for _, reply in self.replies(event, **arguments)]

    def replies(self, event: str, **arguments: Any) -> list[tuple[str, Any]]:
        """The same, each reply with the name of who gave it."""
        results: list[tuple[str, Any]] = []
        for plugin in self._manager.get_plugins():
            others = self._manager.get_plugins() - {plugin}
            name = str(self._manager.get_name(plugin))
            try:
                with redirect_stdout(sys.stderr):
                    found = self._manager.subset_hook_caller(event, others)(**arguments)
            except (Exception, SystemExit) as error:
                warnings.warn(f"hook {event} of {name} failed: {described(error)}", PluginWarning, stacklevel=2)
            else:
                results += [(name, reply) for reply in found]
        return results

    def checks(self) -> tuple[Check, ...]:
        """Hook modules that were left out, and implementations of events that do not exist."""
        return (*self._failures, *self._pending())

    def _record(self, entry: Entry, complaint: str) -> None:
        text = " ".join(complaint.split()).removesuffix(f" ({SHOW_CAUSE})")
        self._failures.append(Check(f"hooks/{entry.name}", "problem", text))

    def _pending(self) -> list[Check]:
        """As pluggy's ``check_pending``, which stops at the first; and who listens to nothing."""
        found = []
        for plugin in self._manager.get_plugins():
            name = f"hooks/{self._manager.get_name(plugin)}"
            callers = self._manager.get_hookcallers(plugin) or ()
            unknown = [caller.name for caller in callers if not caller.has_spec()]
            found += [
                Check(name, "warning", f"{name} implements {event}, an event that does not exist") for event in unknown
            ]
            if not callers:
                found.append(Check(name, "warning", f"{name} implements no event with hookimpl"))
        return found
