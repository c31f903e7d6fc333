"""Making: a factory of other people's is called with what it declares, and what it makes is checked."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from typing import Any

from mlvgm.errors import MlvgmError, PluginError
from mlvgm.plugins.contracts import difference
from mlvgm.plugins.entry import Entry
from mlvgm.plugins.imports import SHOW_CAUSE, in_one_line


def make(entry: Entry, target: str, factory: Callable[..., Any], config: Any, parts: Mapping[str, Any]) -> Any:
    """What a factory makes, checked against the protocol of its kind. What it prints goes to stderr.

    Args:
        entry: whose factory it is.
        target: its ``module:attribute``.
        factory: called with ``config`` and those of ``parts`` that it declares.
        config: the checked configuration.
        parts: what the kind's factories may want; None stands for a part that is not there.

    Raises:
        PluginError: the factory wants what it does not get, fails, or makes something else.
        MlvgmError: the factory refuses its configuration, or what that names.
    """
    there = {name: part for name, part in parts.items() if part is not None}
    names, missing = _declared(factory, there)
    if missing:
        raise PluginError(
            f"plugin {entry}: its factory {target} wants '{missing[0]}'",
            hint=f"it gets {' and '.join(['its configuration', *there])} here; docs/reference/plugins.md says what a "
            "factory may want and which capability asks for it",
        )
    try:
        with redirect_stdout(sys.stderr):
            made = factory(config, **{name: there[name] for name in names})
            wrong = difference(made, entry.kind)
    except (MlvgmError, KeyboardInterrupt):
        raise
    except BaseException as error:  # other people's code, which may even try to end the program
        text = f"plugin {entry}: its factory {target} failed: {in_one_line(error)}"
        raise PluginError(text, hint=SHOW_CAUSE) from error
    if wrong is not None:
        raise PluginError(f"plugin {entry}: its factory {target} returned {wrong}")
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
