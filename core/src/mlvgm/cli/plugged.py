"""Commands that plugins bring, and jobs as commands: found in the index, imported when they are the ones that run."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from functools import wraps
from importlib import import_module
from operator import attrgetter
from typing import TYPE_CHECKING, Any, get_type_hints

import typer

from mlvgm.errors import MlvgmError

if TYPE_CHECKING:
    from mlvgm.plugins.entry import Entry

Flags = Mapping[str, Any]


def mount(
    app: typer.Typer,
    kind: str,
    word: str | None,
    *,
    adapt: Callable[[str, Callable[..., Any]], Callable[..., Any]] = lambda name, function: function,
) -> None:
    """Add what plugins bring to ``app``: the one that the command line names whole, the others as lines of its help.

    Args:
        app: what they become commands of.
        kind: ``"commands"`` or ``"jobs"``.
        word: the one that the command line names, if it does.
        adapt: makes the command of a name from the plugin's function.
    """
    from mlvgm.plugins.descriptors import CommandComponent, JobComponent
    from mlvgm.plugins.index import Index
    from mlvgm.plugins.reference import parse

    index = Index.installed()
    for name in dict.fromkeys(entry.name for entry in index.entries(kind)):
        summary, epilog, function = "", None, None
        try:
            entry = index.find(kind, parse(name))
            found = _glimpse(entry, entry.target)
            if not isinstance(found, JobComponent | CommandComponent):
                found = _described(entry)
            summary, epilog = found.summary, found.epilog or None
            if name == word:
                function = _glimpse(entry, found.command)
                if not callable(function):
                    function = _function(entry)
                if isinstance(found, JobComponent) and found.job:
                    function = adapt(name, function)
        except MlvgmError as error:  # a broken one leaves the others alone
            function = _failing(error)
            summary = summary or f"does not load: {error.message}"
        app.command(name, epilog=epilog, help=summary if function is None else None)(function or _unused)


def _glimpse(entry: Entry, target: str) -> Any:
    """What a target names, by a bare import: help has to be quick. None if that fails; who asks again learns why."""
    module, _, attribute = target.partition(":")
    try:
        with redirect_stdout(sys.stderr):
            return attrgetter(attribute)(import_module(module.strip()))
    except (Exception, SystemExit):
        return None


def _described(entry: Entry) -> Any:
    from mlvgm.plugins.describe import described

    return described(entry)


def _function(entry: Entry) -> Any:
    from mlvgm.plugins.load import command

    return command(entry)


def _failing(error: MlvgmError) -> Callable[[], None]:
    def fail() -> None:
        raise error

    fail.__doc__ = error.message
    return fail


def _unused() -> None:
    """Stands for a command that this command line does not name."""


def with_options(
    own: Callable[..., Flags], common: Callable[..., Any], run: Callable[[Flags, dict[str, Any]], None]
) -> Callable[..., None]:
    """A Typer command with the options of two functions.

    Args:
        own: a job's, which returns what its options stand for; its help is the command's. An option of it takes the
            place of one of the same name.
        common: never called, only its options are taken.
        run: called with what ``own`` returned and the values of the common options.
    """
    of_own, of_common = _parameters(own), _parameters(common)

    @wraps(own)
    def command(**given: Any) -> None:
        flags = own(**{name: given[name] for name in of_own})
        run(flags, {name: given.get(name) for name in of_common})

    parameters = [*of_own.values(), *(one for name, one in of_common.items() if name not in of_own)]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {one.name: one.annotation for one in parameters} | {"return": None}
    return command


def _parameters(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    hints = get_type_hints(function, include_extras=True)
    found: Sequence[inspect.Parameter] = tuple(inspect.signature(function).parameters.values())
    return {one.name: one.replace(annotation=hints[one.name], kind=inspect.Parameter.KEYWORD_ONLY) for one in found}
