"""Imports: what a ``module:attribute`` of a plugin names. The only place that imports plugin code.

stevedore does every import; whatever the plugin's code does meanwhile becomes one error that names its distribution.
"""

from __future__ import annotations

import re
from importlib.metadata import EntryPoint
from typing import Any, NoReturn

from stevedore import DriverManager, ExtensionManager

from mlvgm.errors import PluginError
from mlvgm.foreign.others import described, guarded
from mlvgm.plugins.entry import Entry
from mlvgm.plugins.scan import damage

_TARGET = re.compile(r"\w+(\.\w+)*\s*(:\s*\w+(\.\w+)*)?\s*(\[.*\])?")

SHOW_CAUSE = "its cause is shown by --traceback"


class MissingExtra(PluginError):
    """What a plugin needs is an extra of its distribution that is not installed."""


def import_target(entry: Entry, target: str) -> Any:
    """What ``target``, a ``module:attribute`` of the entry's plugin, names. What the plugin prints goes to stderr.

    Raises:
        MissingExtra: a module is missing that an extra of the distribution would bring.
        PluginError: whatever else the plugin's code raised, with the distribution that it belongs to.
    """
    if not _TARGET.fullmatch(target):
        raise PluginError(f"plugin {entry} does not load: expected module:attribute, got '{target}'")

    class Pinned(DriverManager[Any]):
        # stevedore's own list has lost the distributions and takes the last of several entries of one name.
        def list_entry_points(self) -> list[EntryPoint]:
            return [EntryPoint(entry.name, target, f"mlvgm.{entry.kind}")]

    def explain(manager: ExtensionManager[Any], ep: EntryPoint, error: BaseException) -> NoReturn:
        raise _broken(entry, target, error) from error

    with guarded(lambda text: PluginError(_sentence(entry, target, text), hint=SHOW_CAUSE)):
        return Pinned(f"mlvgm.{entry.kind}", entry.name, on_load_failure_callback=explain).extensions[0].plugin


def _sentence(entry: Entry, target: str, cause: str) -> str:
    return f"plugin {entry} does not load: {target}: {cause}"


def _broken(entry: Entry, target: str, error: BaseException) -> PluginError:
    damaged = damage(error)
    if damaged is not None:  # an import that looks for plugins of its own meets it, whoever began it
        return PluginError(f"a distribution is damaged: {damaged}", hint=f"uninstall it; {SHOW_CAUSE}")
    text = _sentence(entry, target, described(error))
    extra = _extra(entry, error)
    if extra is not None:
        return MissingExtra(text, hint=f"pip install '{entry.distribution}[{extra}]'")
    return PluginError(text, hint=SHOW_CAUSE)


def _extra(entry: Entry, error: BaseException) -> str | None:
    """The extra of the distribution that would bring a missing module."""
    if not isinstance(error, ModuleNotFoundError) or error.name is None:
        return None
    missing = error.name.partition(".")[0].replace("_", "-")
    for text in entry.requires:
        extra = re.search(r"extra == ['\"]([^'\"]+)['\"]", text)
        if extra and re.match(rf"{re.escape(missing)}\b", text.replace("_", "-"), re.IGNORECASE):
            return extra[1]
    return None
