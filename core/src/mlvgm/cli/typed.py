"""The command as it was typed, which a run keeps."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from contextvars import ContextVar

_TYPED: ContextVar[tuple[str, ...] | None] = ContextVar("typed", default=None)


def remember(arguments: Sequence[str]) -> None:
    """Keep the command of this process, or of this call of :func:`mlvgm.cli.main.main`."""
    _TYPED.set(tuple(arguments))


def arguments() -> tuple[str, ...]:
    """What was typed after the program's name; nothing outside of a command."""
    return _TYPED.get() or ()


def command_line() -> str:
    """The command; empty outside of one."""
    typed = _TYPED.get()
    return "" if typed is None else shlex.join(["mlvgm", *typed])
