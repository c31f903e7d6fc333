"""What a check finds, and what it says where it cannot look."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Status = Literal["pass", "warn", "fail", "no power", "not run"]


class NotRun(Exception):
    """A check does not apply to a subject; the message is the reason."""


class NoPower(Exception):
    """A check applies and could not have found what it looks for; the message is the reason.

    A pass would say nothing then: the verdict names what could not be tested.
    """


@dataclass(frozen=True)
class Finding:
    """What a check found.

    Args:
        check: its id, for instance ``"control.null"``.
        requirements: numbers of the requirements it covers (docs/how-to/audit.md); none for checks beyond them.
        status: ``fail`` means the number under audit cannot be believed; ``warn`` that it needs a caveat; ``no power``
            that the check could not have failed, so that its silence says nothing; ``not run`` that it does not apply.
        evidence: one sentence with the figures that decided.
        values: everything measured, in plain values.
    """

    check: str
    requirements: tuple[int, ...]
    status: Status
    evidence: str
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class CheckInfo:
    """What a check says about itself.

    Args:
        id: its name, for instance ``"control.null"``.
        requirements: numbers of the requirements it covers.
    """

    id: str
    requirements: tuple[int, ...] = ()

    def finding(self, status: Status, evidence: str, **values: Any) -> Finding:
        """A finding of this check."""
        return Finding(self.id, self.requirements, status, evidence, values)
