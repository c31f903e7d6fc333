"""The command as it was typed, which a run keeps."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from contextvars import ContextVar

_TYPED: ContextVar[str] = ContextVar("typed", default="")


def remember(arguments: Sequence[str]) -> None:
    """Keep the command of this process, or of this call of :func:`mlvgm.cli.main.main`."""
    _TYPED.set(shlex.join(["mlvgm", *arguments]))


def command_line() -> str:
    """The command; empty outside of one."""
    return _TYPED.get()
