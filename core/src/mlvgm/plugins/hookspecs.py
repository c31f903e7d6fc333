"""Events that plugins are told about. Chosen by name → component; told about it → hook.

A plugin implements any of them in a module named by an entry point in the group ``mlvgm.hooks``, decorated with
:data:`hookimpl`; an implementation may leave out arguments it does not use.

Example:
    >>> from mlvgm.plugins.hookspecs import hookimpl
    >>> @hookimpl
    ... def mlvgm_run_finished(result):
    ...     print("done")
"""

from __future__ import annotations

from typing import Any

import pluggy

from mlvgm.plugins.check import Check

PROJECT = "mlvgm"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def mlvgm_run_started(run: Any, config: Any) -> None:
    """A run directory exists and work begins; ``config`` is the resolved configuration."""


@hookspec
def mlvgm_unit_done(run: Any, record: Any) -> None:
    """A work unit is finished and its record is on disk."""


@hookspec
def mlvgm_run_finished(run: Any, result: Any) -> None:
    """All units are done and the result is written."""


@hookspec
def mlvgm_run_failed(run: Any, error: BaseException) -> None:
    """The run ends without a result; ``error`` is what it ends with."""


@hookspec
def mlvgm_doctor_checks() -> list[Check]:  # type: ignore[empty-body]
    """Findings to show in ``mlvgm plugins doctor``."""
