"""Findings about an installation: the rows of ``mlvgm plugins doctor``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Check:
    """One finding.

    Args:
        name: what was looked at, e.g. ``"generators/nvae"`` or ``"torch"``.
        status: ``ok``; ``note`` (an optional part is not there); ``warning`` (works, with a limit worth knowing) or
            ``problem`` (does not work).
        detail: one line: what was found, and for a problem what to do.
    """

    name: str
    status: Literal["ok", "note", "warning", "problem"]
    detail: str
