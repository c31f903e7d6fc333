"""Load: from a reference a user typed to a built component. The only place that imports plugin code.

stevedore does every import, of descriptors and of the ``module:attribute`` strings in them; the index decides which.

Example:
    >>> from mlvgm.plugins.load import build, component
    >>> resolved = component("generators", "nvae")                              # doctest: +SKIP
    >>> resolved.entry.provider, resolved.component.summary                     # doctest: +SKIP
    >>> generator = build("generators", "nvae", {"weights": "clean"})           # doctest: +SKIP
"""

from __future__ import annotations

import importlib.util
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint
from typing import TYPE_CHECKING, Any, NoReturn

from stevedore import DriverManager, ExtensionManager

from mlvgm.errors import ConfigError, PluginError
from mlvgm.plugins.descriptors import API_VERSION, Component
from mlvgm.plugins.index import CORE, Entry, Index, noun
from mlvgm.plugins.options import validate
from mlvgm.plugins.reference import Reference, parse

if TYPE_CHECKING:
    from pydantic import BaseModel

# A kind that has an entry of this name takes ``package.module:attribute`` as a reference of its own.
_IMPORT = "import"
_IMPORTABLE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


class PluginWarning(UserWarning):
    """A plugin works, with a limit the user should know."""


@dataclass(frozen=True)
class Resolved:
    """A reference with the plugin it names.

    Args:
        entry: who provides it.
        component: its descriptor.
        argument: text after the colon; None without.
        options: configuration fields after the question mark, as text.
    """

    entry: Entry
    component: Component
    argument: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def given(self) -> dict[str, str]:
        """The configuration fields that the reference itself sets, the argument's included.

        Raises:
            ConfigError: an argument came and the component takes none, or a field is set twice.
        """
        name = self.component.argument
        if self.argument is None:
            return dict(self.options)
        if name is None:
            raise ConfigError(f"{noun(self.entry.kind)} '{self.entry.name}' takes no argument, got ':{self.argument}'")
        if name in self.options:
            raise ConfigError(f"{noun(self.entry.kind)}.{name} is given twice: ':{self.argument}' and '?{name}=…'")
        return {name: self.argument, **self.options}


def component(kind: str, reference: str, *, index: Index | None = None) -> Resolved:
    """Find a component and load its descriptor; imports no torch.

    ``package.module:attribute`` goes to the kind's ``import`` entry, if it has one, with all of it as the argument.

    Args:
        kind: e.g. ``"generators"``.
        reference: ``[DISTRIBUTION/]NAME[:ARGUMENT][?OPTION=VALUE&…]``.
        index: where to look; the installed plugins by default.

    Raises:
        PluginError: unknown, ambiguous, incompatible or broken.
        ConfigError: the reference is malformed.
    """
    index = Index.installed() if index is None else index
    named = parse(reference)
    entry = index.find(kind, Reference(_IMPORT) if _goes_to_import(index, kind, named) else named)
    argument = f"{named.name}:{named.argument}" if entry.name == _IMPORT != named.name else named.argument
    return Resolved(entry, descriptor(entry), argument, named.options)


def descriptor(entry: Entry) -> Component:
    """The descriptor of an entry, checked to be one this core understands.

    Raises:
        PluginError: the distribution needs another core, the import fails, or what it finds is no usable descriptor.
    """
    unmet = [text for text in entry.unmet() if text.startswith(CORE)]
    if unmet:
        raise PluginError(
            f"plugin {entry} needs {unmet[0]}", hint=f"install matching versions of {CORE} and {entry.distribution}"
        )
    found = entry.component if entry.component is not None else _load(entry, entry.target)
    if not isinstance(found, Component):
        raise PluginError(f"plugin {entry}: {entry.target} is a {type(found).__name__}, expected a Component")
    if found.api[0] != API_VERSION[0]:
        raise PluginError(
            f"plugin {entry} is written against protocols {_dotted(found.api)}, this core has {_dotted(API_VERSION)}",
            hint=f"install matching versions of {CORE} and {entry.distribution}",
        )
    if found.api[1] > API_VERSION[1]:
        text = f"is written against newer protocols {_dotted(found.api)}; this core has {_dotted(API_VERSION)}"
        warnings.warn(f"plugin {entry} {text}", PluginWarning, stacklevel=2)
    return found


def config_class(resolved: Resolved) -> type[BaseModel]:
    """The pydantic model of a component's options.

    Raises:
        PluginError: it does not load.
    """
    found: type[BaseModel] = _load(resolved.entry, resolved.component.config)
    return found


def factory(resolved: Resolved) -> Callable[..., Any]:
    """The callable that builds the component from its configuration; imports torch.

    Raises:
        PluginError: it does not load.
    """
    found: Callable[..., Any] = _load(resolved.entry, resolved.component.factory)
    return found


def converter(resolved: Resolved) -> Callable[..., Any]:
    """The callable that turns other code bases' checkpoints into weights of the component; imports torch.

    Raises:
        PluginError: there is none, or it does not load.
    """
    if resolved.component.converter is None:
        raise PluginError(f"{noun(resolved.entry.kind)} '{resolved.entry.name}' converts no checkpoints")
    found: Callable[..., Any] = _load(resolved.entry, resolved.component.converter)
    return found


def build(
    kind: str, reference: str, options: Mapping[str, Any] | None = None, *, index: Index | None = None, **parts: Any
) -> Any:
    """Load, configure and build a component in one step.

    Args:
        kind: e.g. ``"purifiers"``.
        reference: as for :func:`component`.
        options: configuration fields; they win over those in the reference.
        index: where to look; the installed plugins by default.
        parts: what the kind's factories need, e.g. ``generator=`` for a purifier.

    Raises:
        PluginError: unknown, ambiguous, incompatible or broken.
        ConfigError: an option is unknown or out of bounds.
    """
    resolved = component(kind, reference, index=index)
    values = {**resolved.given, **(options or {})}
    # Several checks are configured at once, under their names.
    prefix = f"{noun(kind)}.{resolved.entry.name}" if kind == "checks" else noun(kind)
    config = validate(config_class(resolved), values, prefix=prefix)
    return factory(resolved)(config, **parts)


def hook_modules(index: Index, *, on_failure: Callable[[Entry, PluginError], None]) -> list[tuple[Entry, object]]:
    """The hook modules that load, by distribution and name; failures are told and skipped."""
    loaded = []
    for entry in sorted(index.entries("hooks"), key=lambda entry: (entry.distribution, entry.name)):
        try:
            loaded.append((entry, _load(entry, entry.target)))
        except PluginError as error:
            on_failure(entry, error)
    return loaded


def _goes_to_import(index: Index, kind: str, named: Reference) -> bool:
    names = {entry.name for entry in index.entries(kind)}
    if named.name in names or _IMPORT not in names or named.distribution is not None or named.argument is None:
        return False
    if not _IMPORTABLE.fullmatch(f"{named.name}:{named.argument}"):
        return False
    # "tim:resnet18" is a slip for "timm:resnet18", not a module, unless there is one.
    return "." in named.name or importlib.util.find_spec(named.name) is not None


def _load(entry: Entry, target: str) -> Any:
    """What ``target``, a ``module:attribute`` of the entry's plugin, names.

    Raises:
        PluginError: whatever the plugin's code raised, with the distribution that it belongs to.
    """

    class Pinned(DriverManager[Any]):
        # stevedore's own list has lost the distributions and takes the last of several entries of one name.
        def list_entry_points(self) -> list[EntryPoint]:
            return [EntryPoint(entry.name, target, f"mlvgm.{entry.kind}")]

    def explain(manager: ExtensionManager[Any], ep: EntryPoint, error: BaseException) -> NoReturn:
        raise _broken(entry, target, error) from error

    try:
        return Pinned(f"mlvgm.{entry.kind}", entry.name, on_load_failure_callback=explain).extensions[0].plugin
    except (AssertionError, SystemExit) as error:  # the two that stevedore lets through to end the program
        raise _broken(entry, target, error) from error


def _broken(entry: Entry, target: str, error: BaseException) -> PluginError:
    cause = f"{type(error).__name__}: {error}".rstrip(": ")
    hint = _extra(entry, error) or "its cause is shown by --traceback"
    return PluginError(f"plugin {entry} does not load: {target}: {' '.join(cause.split())}", hint=hint)


def _extra(entry: Entry, error: BaseException) -> str | None:
    """The pip command for a missing module that an extra of the distribution would bring."""
    if not isinstance(error, ModuleNotFoundError) or error.name is None:
        return None
    missing = error.name.partition(".")[0].replace("_", "-")
    for text in entry.requires:
        extra = re.search(r"extra == ['\"]([^'\"]+)['\"]", text)
        if extra and re.match(rf"{re.escape(missing)}\b", text.replace("_", "-"), re.IGNORECASE):
            return f"pip install '{entry.distribution}[{extra[1]}]'"
    return None


def _dotted(api: tuple[int, int]) -> str:
    return ".".join(map(str, api))
