"""Audit: is the robustness an evaluation reports believable?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mlvgm.attempts import AuditContext
from mlvgm.protocols.check import Check, Finding, NotRun, Status, Subject


@dataclass(frozen=True)
class Verdict:
    """All findings, and what they come to.

    Args:
        findings: one for each check, in order.
    """

    findings: tuple[Finding, ...]

    def of(self, status: Status) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.status == status)

    @property
    def believable(self) -> bool:
        """No check failed or broke, and at least one passed."""
        return not self.of("fail") and not self.broken and bool(self.of("pass"))

    @property
    def broken(self) -> tuple[Finding, ...]:
        """Checks that broke instead of answering: nobody knows what they would have found."""
        return tuple(finding for finding in self.of("not run") if "error" in finding.values)

    @property
    def sentence(self) -> str:
        """``believable: yes/no because …``, with how many checks warn and did not run.

        >>> Verdict((Finding("a", (1,), "pass", "fine"),)).sentence
        'believable: yes because 1 check passed and none failed'
        """
        failed, passed = self.of("fail"), self.of("pass")
        reason = "; ".join(f"{finding.check}: {finding.evidence}" for finding in (*failed, *self.broken))
        if not reason:
            reason = f"{_checks(passed)} passed and none failed" if passed else "no check passed"
        others = [f"{_checks(self.of('warn'))} warn" if self.of("warn") else ""]
        others += [f"{_checks(self.of('not run'))} not run" if self.of("not run") else ""]
        aside = ", ".join(each for each in others if each)
        return f"believable: {'yes' if self.believable else 'no'} because {reason}" + (f" ({aside})" if aside else "")


def _checks(findings: Sequence[Finding]) -> str:
    return f"{len(findings)} check" + ("" if len(findings) == 1 else "s")


def audit(
    subject: Subject,
    checks: Sequence[Check],
    *,
    context: AuditContext | None = None,
    progress: Callable[[int, int, str], None] = lambda done, total, check: None,
) -> Verdict:
    """Run checks in order, each on its own: one that cannot run or breaks is ``not run`` and says why.

    One that breaks makes the verdict no: an attack that crashes everywhere has shown nothing.

    Args:
        subject: what is audited.
        checks: in order; those that look back at what others ran (``worst.case``) belong at the end.
        context: shared by all; a new one by default.
        progress: called with how many checks are done, how many there are, and the next one's id.
    """
    context = context or AuditContext()
    findings = []
    for done, check in enumerate(checks):
        progress(done, len(checks), check.info.id)
        findings.append(_isolated(check, subject, context))
    progress(len(checks), len(checks), "")
    return Verdict(tuple(findings))


def _isolated(check: Check, subject: Subject, context: AuditContext) -> Finding:
    try:
        return check(subject, context=context)
    except NotRun as reason:
        return check.info.finding("not run", str(reason))
    except Exception as error:  # a check, an attack or a module of other people may fail in any way
        text = " ".join(str(error).split())
        return check.info.finding("not run", f"it broke: {type(error).__name__}: {text}", error=type(error).__name__)
