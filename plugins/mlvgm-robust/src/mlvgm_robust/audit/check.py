"""Checks: what makes an evaluation believable, one question each, with its evidence."""

from __future__ import annotations

from typing import Protocol

from mlvgm_robust.audit.attempts import AuditContext
from mlvgm_robust.audit.finding import CheckInfo, Finding
from mlvgm_robust.audit.subject import Subject


class Check(Protocol):
    """Answers one question about a subject."""

    @property
    def info(self) -> CheckInfo: ...

    def __call__(self, subject: Subject, *, context: AuditContext) -> Finding:
        """The finding.

        Args:
            subject: what is audited.
            context: runs attacks, each once for all checks, and says where files may go.

        Raises:
            NotRun: the check does not apply.
            NoPower: it applies, and could not have failed.
        """
        ...
