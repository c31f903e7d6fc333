"""Every error a user can cause: one message that says what was expected, what came and what to do.

The command line turns an :class:`MlvgmError` into one line on stderr and its ``exit_code``; anything else is an
internal error (exit code 70).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class MlvgmError(Exception):
    """Root of all expected errors.

    Args:
        message: what was expected and what came.
        hint: what to do about it.
    """

    exit_code = 2

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message if hint is None else f"{message} ({hint})")
        self.message = message
        self.hint = hint


class Interruption(BaseException):
    """A request to end. Not an ``Exception``: hooks, plugins and libraries that catch those must not swallow it."""


class UsageError(MlvgmError):
    """A command line that no command understands."""


class InternalError(MlvgmError):
    """Something that should not happen."""

    exit_code = 70


class InputError(MlvgmError):
    """A file, folder, image or tensor is missing, unreadable or not what it should be."""


class ConfigError(MlvgmError):
    """An option is unknown or has a value that is not allowed."""


class PluginError(MlvgmError):
    """A plugin is unknown, ambiguous, incompatible or does not load."""


class CheckFailed(MlvgmError):
    """The run finished, and a check or a threshold failed."""

    exit_code = 1


class Stopped(MlvgmError):
    """The run stopped after records exist; it can be resumed."""

    exit_code = 3


# Of names that there are hundreds of, nobody reads more.
_LISTED = 50


def unknown(what: str, name: str, known: Iterable[str], *, error: type[MlvgmError] = ConfigError) -> MlvgmError:
    """The error for a name that is not among ``known``, with the nearest one as a suggestion.

    >>> print(unknown("generator", "nvea", ["nvae", "stylegan2"]))
    unknown generator 'nvea' (did you mean 'nvae'? known: nvae, stylegan2)
    """
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    listing = "known: " + (", ".join(names[:_LISTED]) + more or "none")
    return error(f"unknown {what} '{name}'", hint=f"did you mean '{near[0]}'? {listing}" if near else listing)
