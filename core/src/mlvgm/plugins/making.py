"""Making: a factory of other people's is called with what it declares, and what it makes is checked."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mlvgm.errors import PluginError
from mlvgm.foreign.others import guarded
from mlvgm.plugins.contracts import difference
from mlvgm.plugins.entry import Entry
from mlvgm.plugins.imports import SHOW_CAUSE


def make(
    entry: Entry,
    target: str,
    factory: Callable[..., Any],
    config: Any,
    parts: Mapping[str, Any],
    *,
    protocols: Sequence[str],
) -> Any:
    """What a factory makes, checked against the protocol of its kind. What it prints goes to stderr.

    Args:
        entry: whose factory it is.
        target: its ``module:attribute``.
        factory: called with ``config`` and those of ``parts`` that it declares.
        config: the checked configuration.
        parts: what the kind's factories may want; None stands for a part that is not there.
        protocols: ``module:attribute`` of what it has to make.

    Raises:
        PluginError: the factory wants what it does not get, fails, or makes something else.
        MlvgmError: the factory refuses its configuration, or what that names.
    """
    made_by = f"plugin {entry}: its factory {target}"
    there = {name: part for name, part in parts.items() if part is not None}
    names, missing = _declared(factory, there)
    if missing:
        raise PluginError(
            f"{made_by} wants '{missing[0]}'",
            hint=f"it gets {' and '.join(['its configuration', *there])}; which capability of a descriptor asks for "
            f"more is in docs/reference/plugins.md, and in Python it is given as {missing[0]}=…",
        )
    with guarded(lambda text: PluginError(f"{made_by} failed: {text}", hint=SHOW_CAUSE)):
        made = factory(config, **{name: there[name] for name in names})
        wrong = difference(made, protocols)
    if wrong is not None:
        raise PluginError(f"{made_by} returned {wrong}")
    return made


def _declared(factory: Callable[..., Any], parts: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Names of ``parts`` that a factory declares, and of what else it cannot do without."""
    try:
        _, *parameters = inspect.signature(factory).parameters.values()
    except ValueError:  # it takes nothing, or does not say what it takes: calling it will tell
        return list(parts), []
    variable = {parameter.kind for parameter in parameters} & {inspect.Parameter.VAR_KEYWORD}
    names = {parameter.name for parameter in parameters}
    missing = [
        parameter.name
        for parameter in parameters
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        and parameter.name not in parts
    ]
    return [name for name in parts if variable or name in names], missing
