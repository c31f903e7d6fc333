"""Load: from a reference a user typed to a built component. The index decides whose code is imported.

Example:
    >>> from mlvgm.plugins.load import build, component
    >>> resolved = component("generators", "nvae")                              # doctest: +SKIP
    >>> resolved.entry.provider, resolved.component.summary                     # doctest: +SKIP
    >>> generator = build("generators", "nvae", {"weights": "clean"})           # doctest: +SKIP
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import FunctionType
from typing import TYPE_CHECKING, Any

from mlvgm.errors import ConfigError, PluginError
from mlvgm.foreign.others import guarded
from mlvgm.plugins.contracts import difference
from mlvgm.plugins.describe import descriptor
from mlvgm.plugins.descriptors import CommandComponent, Component, JobComponent
from mlvgm.plugins.entry import Entry
from mlvgm.plugins.imports import SHOW_CAUSE, import_target
from mlvgm.plugins.index import Index, noun
from mlvgm.plugins.kinds import option_group, protocols
from mlvgm.plugins.making import make
from mlvgm.plugins.options import validate
from mlvgm.plugins.reference import Reference, parse

if TYPE_CHECKING:
    from pydantic import BaseModel

# A kind that has an entry of this name takes ``package.module:attribute`` as a reference of its own.
_IMPORT = "import"
_IMPORTABLE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


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
            group = option_group(self.entry.kind, self.entry.name)
            raise ConfigError(f"{group}.{name} is given twice: ':{self.argument}' and '?{name}=…'")
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
    return Resolved(entry, descriptor(entry, Component), argument, named.options)


def config_class(resolved: Resolved) -> type[BaseModel]:
    """The pydantic model of a component's options.

    Raises:
        PluginError: it does not load, is no pydantic model, or lacks the field of the argument or of a recipe.
    """
    from pydantic import BaseModel

    entry, component = resolved.entry, resolved.component
    found = import_target(entry, component.config)
    if not (isinstance(found, type) and issubclass(found, BaseModel)):
        what = f"the class {found.__name__}" if isinstance(found, type) else f"a {type(found).__name__}"
        raise PluginError(f"plugin {entry}: {component.config} is {what}, expected a subclass of pydantic.BaseModel")
    if component.argument is not None and component.argument not in found.model_fields:
        raise PluginError(f"plugin {entry}: its argument '{component.argument}' is no field of {component.config}")
    for recipe in (one for of_job in component.recipes.values() for one in of_job):
        for key in recipe.options:
            group, _, name = key.partition(".")
            if group == "generator" and name.partition(".")[0] not in found.model_fields:
                raise PluginError(f"plugin {entry}: its recipe '{recipe.label}' sets {key}, which is no option")
    return found


def preset(resolved: Resolved, budget: str) -> dict[str, Any]:
    """The options that a budget sets; none where the component has no such budget.

    Raises:
        PluginError: ``BUDGETS`` is no mapping of budgets to options that exist.
    """
    return presets(resolved).get(budget, {})


def presets(resolved: Resolved) -> dict[str, dict[str, Any]]:
    """The options that each budget sets.

    Raises:
        PluginError: ``BUDGETS`` is no mapping of budgets to options that exist.
    """
    config = config_class(resolved)
    found = getattr(config, "BUDGETS", {})
    text = f"plugin {resolved.entry}: BUDGETS of {resolved.component.config}"
    if not (isinstance(found, Mapping) and all(isinstance(values, Mapping) for values in found.values())):
        raise PluginError(f"{text}: expected options by budget, got {found!r}")
    for budget, values in found.items():
        for name in values:
            if str(name).partition(".")[0] not in config.model_fields:
                raise PluginError(f"{text}: {budget} sets '{name}', which is no option")
    return {budget: dict(values) for budget, values in found.items()}


def configured(resolved: Resolved, options: Mapping[str, Any]) -> BaseModel:
    """The component's configuration with ``options``, nested mappings for nested models.

    Raises:
        PluginError: its model is broken.
        ConfigError: an option is unknown or out of bounds.
    """
    config = config_class(resolved)
    text = f"plugin {resolved.entry}: {resolved.component.config} cannot check its options"
    with guarded(lambda cause: PluginError(f"{text}: {cause}", hint=SHOW_CAUSE)):
        return validate(config, options, prefix=option_group(resolved.entry.kind, resolved.entry.name))


def plain(resolved: Resolved, config: BaseModel) -> dict[str, Any]:
    """A component's configuration in plain values, from which it can be made again.

    Raises:
        PluginError: it has options that have no plain values.
    """
    text = f"plugin {resolved.entry}: {resolved.component.config} has options that cannot be written down"
    with guarded(lambda cause: PluginError(f"{text}: {cause}")):
        return config.model_dump(mode="json")


def factory(resolved: Resolved) -> Callable[..., Any]:
    """The callable that builds the component from its configuration; imports torch.

    Raises:
        PluginError: it does not load, or cannot be called.
    """
    found: Callable[..., Any] = import_target(resolved.entry, resolved.component.factory)
    if not callable(found):
        text = f"{resolved.component.factory} is a {type(found).__name__}, expected a factory(config)"
        raise PluginError(f"plugin {resolved.entry}: {text}")
    return found


def converter(resolved: Resolved) -> Callable[..., Any]:
    """The callable that turns other code bases' checkpoints into weights of the component; imports torch.

    Raises:
        PluginError: there is none, or it does not load.
    """
    if resolved.component.converter is None:
        raise PluginError(f"{noun(resolved.entry.kind)} '{resolved.entry.name}' converts no checkpoints")
    found: Callable[..., Any] = import_target(resolved.entry, resolved.component.converter)
    return found


def build(
    kind: str, reference: str, options: Mapping[str, Any] | None = None, *, index: Index | None = None, **parts: Any
) -> Any:
    """Load, configure and build a component in one step, checked against the protocol of its kind.

    Args:
        kind: e.g. ``"purifiers"``.
        reference: as for :func:`component`.
        options: configuration fields; they win over those in the reference.
        index: where to look; the installed plugins by default.
        parts: what the kind's factories may want, e.g. ``generator=`` for a purifier; they get what they declare.

    Raises:
        PluginError: unknown, ambiguous, incompatible or broken.
        ConfigError: an option is unknown or out of bounds.
    """
    resolved = component(kind, reference, index=index)
    return built(resolved, configured(resolved, {**resolved.given, **(options or {})}), **parts)


def built(resolved: Resolved, config: BaseModel, **parts: Any) -> Any:
    """What a component's factory makes of a checked configuration; see :func:`mlvgm.plugins.making.make`."""
    made_of = protocols(resolved.entry.kind)
    return make(resolved.entry, resolved.component.factory, factory(resolved), config, parts, protocols=made_of)


def job(name: str, *, index: Index | None = None) -> Any:
    """The job of that name, a :class:`mlvgm.protocols.job.Job`.

    Raises:
        PluginError: unknown, ambiguous, incompatible or broken.
    """
    entry = (Index.installed() if index is None else index).find("jobs", parse(name))
    target = descriptor(entry, JobComponent).job
    made = import_target(entry, target)
    with guarded(lambda text: PluginError(f"plugin {entry}: {target} failed: {text}", hint=SHOW_CAUSE)):
        made = made() if isinstance(made, type | FunctionType) else made
        wrong = difference(made, protocols("jobs"))
    if wrong is not None:
        raise PluginError(f"plugin {entry}: {target} is {wrong}")
    return made


def command(entry: Entry) -> Callable[..., Any]:
    """The Typer function of an entry of kind ``jobs`` or ``commands``.

    Raises:
        PluginError: its descriptor or the function does not load.
    """
    described: JobComponent | CommandComponent = (
        descriptor(entry, JobComponent) if entry.kind == "jobs" else descriptor(entry, CommandComponent)
    )
    found: Callable[..., Any] = import_target(entry, described.command)
    if not callable(found):
        raise PluginError(f"plugin {entry}: {described.command} is a {type(found).__name__}, expected a function")
    return found


def _goes_to_import(index: Index, kind: str, named: Reference) -> bool:
    names = {entry.name for entry in index.entries(kind)}
    if named.name in names or _IMPORT not in names or named.distribution is not None or named.argument is None:
        return False
    if not _IMPORTABLE.fullmatch(f"{named.name}:{named.argument}"):
        return False
    # "tim:resnet18" is a slip for "timm:resnet18", not a module, unless there is one.
    return "." in named.name or importlib.util.find_spec(named.name) is not None
