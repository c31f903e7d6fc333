"""Descriptors of entries, checked to be what this core understands."""

from __future__ import annotations

import warnings
from typing import TypeVar

from mlvgm.errors import PluginError
from mlvgm.plugins.descriptors import (
    API_VERSION,
    CommandComponent,
    Component,
    Descriptor,
    JobComponent,
    KindComponent,
)
from mlvgm.plugins.entry import Entry
from mlvgm.plugins.imports import import_target
from mlvgm.plugins.index import CORE
from mlvgm.plugins.wellformed import complaint

D = TypeVar("D", Component, JobComponent, CommandComponent, KindComponent)
_OF_KIND: dict[str, type[Descriptor]] = {"jobs": JobComponent, "commands": CommandComponent, "kinds": KindComponent}


class PluginWarning(UserWarning):
    """A plugin works, with a limit the user should know."""


def described(entry: Entry) -> Descriptor:
    """The descriptor of an entry, whatever its kind."""
    return descriptor(entry, _OF_KIND.get(entry.kind, Component))  # type: ignore[type-var]


def descriptor(entry: Entry, wanted: type[D]) -> D:
    """The descriptor of an entry, which has to be a ``wanted``.

    Raises:
        PluginError: the distribution needs another core, the import fails, or what it finds is no usable descriptor.
    """
    unmet = entry.unmet(CORE)
    if unmet:
        raise PluginError(
            f"plugin {entry} needs {unmet[0]}", hint=f"install matching versions of {CORE} and {entry.distribution}"
        )
    found = entry.component if entry.component is not None else import_target(entry, entry.target)
    if not isinstance(found, wanted):
        raise PluginError(f"plugin {entry}: {entry.target} is a {type(found).__name__}, expected a {wanted.__name__}")
    wrong = complaint(found)
    if wrong is not None:
        raise PluginError(f"plugin {entry}: its descriptor {entry.target}: {wrong}")
    if found.api[0] != API_VERSION[0]:
        raise PluginError(
            f"plugin {entry} is written against protocols {_dotted(found.api)}, this core has {_dotted(API_VERSION)}",
            hint=f"install matching versions of {CORE} and {entry.distribution}",
        )
    if found.api[1] > API_VERSION[1]:
        text = f"is written against newer protocols {_dotted(found.api)}; this core has {_dotted(API_VERSION)}"
        warnings.warn(f"plugin {entry} {text}", PluginWarning, stacklevel=2)
    return found


def _dotted(api: tuple[int, int]) -> str:
    return ".".join(map(str, api))
