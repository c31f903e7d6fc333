"""Audit: is the robustness an evaluation reports believable?"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import get_args

from mlvgm.foreign.others import BadAnswer, described
from mlvgm.plugins.blame import blamed
from mlvgm.plugins.index import Index
from mlvgm_robust.audit.attempts import AuditContext
from mlvgm_robust.audit.check import Check
from mlvgm_robust.audit.finding import Finding, NoPower, NotRun, Status
from mlvgm_robust.audit.subject import Subject

_ASIDE: tuple[Status, ...] = ("warn", "no power", "not run")
_ANSWERS: tuple[Status, ...] = ("pass", "warn", "fail")
_TO_COME = "to_come"
UNUSABLE = "unusable"  # of the finding of a check whose plugin is broken


@dataclass(frozen=True)
class Verdict:
    """All findings, and what they come to.

    Args:
        findings: one for each check, in order.
        left_out: ids of checks that belong to the audit and nobody wanted to run.
    """

    findings: tuple[Finding, ...]
    left_out: tuple[str, ...] = ()

    def of(self, status: Status) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.status == status)

    @property
    def believable(self) -> bool | None:
        """No check failed or broke, at least one passed, and nothing went untested.

        None where none failed or broke, but some were left out, could not test what they are for, or are still to come.
        """
        if self.objections:
            return False
        if any(finding.values.get(_TO_COME) for finding in self.findings):
            return None
        if not self.of("pass"):
            return None if self.of("no power") else False
        return None if self.left_out or self.untested else True

    @property
    def objections(self) -> tuple[Finding, ...]:
        """Checks that failed, then those that broke."""
        return (*self.of("fail"), *self.broken)

    @property
    def broken(self) -> tuple[Finding, ...]:
        """Checks that broke instead of answering: nobody knows what they would have found."""
        return tuple(finding for finding in self.of("not run") if "error" in finding.values)

    @property
    def untested(self) -> tuple[Finding, ...]:
        """Checks without power whose requirements no other check has answered, and those whose plugins are broken."""
        answered = {number for each in self.findings if each.status in _ANSWERS for number in each.requirements}
        powerless = (
            each for each in self.of("no power") if not (each.requirements and answered >= {*each.requirements})
        )
        return (*powerless, *(each for each in self.of("not run") if each.values.get(UNUSABLE)))

    @property
    def sentence(self) -> str:
        """``believable: yes/no because …``, or ``no verdict: …``, with how many checks warn or are missing.

        >>> fine, weak = Finding("a", (1,), "pass", "fine"), Finding("b", (2,), "no power", "too few queries")
        >>> Verdict((fine,)).sentence
        'believable: yes because 1 check passed and none failed'
        >>> Verdict((fine,), left_out=("b", "c")).sentence
        'no verdict: 1 check passed and none failed (2 checks left out)'
        >>> Verdict((fine, weak)).sentence
        'no verdict: 1 check passed and none failed, but b could not test it: too few queries (1 check no power)'
        """
        passed = self.of("pass")
        reason = "; ".join(f"{finding.check}: {finding.evidence}" for finding in self.objections)
        if not reason:
            reason = f"{_checks(passed)} passed and none failed" if passed else "no check passed"
            reason += _gaps(self.untested)
        others = [f"{_checks(self.of(status))} {status}" for status in _ASIDE if self.of(status)]
        others += [f"{_checks(self.left_out)} left out"] if self.left_out else []
        verdicts = {True: "believable: yes because", False: "believable: no because", None: "no verdict:"}
        return f"{verdicts[self.believable]} {reason}" + (f" ({', '.join(others)})" if others else "")


def _gaps(untested: Sequence[Finding]) -> str:
    """What could not be tested, checks with the same reason together."""
    reasons: dict[str, list[str]] = {}
    for finding in untested:
        reasons.setdefault(finding.evidence, []).append(finding.check)
    gaps = "; ".join(f"{', '.join(names)} could not test it: {reason}" for reason, names in reasons.items())
    return f", but {gaps}" if gaps else ""


def _checks(checks: Sequence[object]) -> str:
    return f"{len(checks)} check" + ("" if len(checks) == 1 else "s")


def audit(
    subject: Subject,
    checks: Sequence[Check],
    *,
    left_out: Sequence[str] | None = None,
    context: AuditContext | None = None,
    progress: Callable[[int, int, str], None] = lambda done, total, check: None,
    keep: Callable[[Verdict], object] = lambda verdict: None,
    found: Callable[[Finding], object] = lambda finding: None,
) -> Verdict:
    """Run checks in order, each on its own: one that cannot run or breaks is ``not run`` and says why.

    One that breaks makes the verdict no: an attack that crashes everywhere has shown nothing. One in which a module
    of other people fails, or gives something else than finite logits, fails.

    Args:
        subject: what is audited.
        checks: in order; those that look back at what others ran (``worst.case``) belong at the end.
        left_out: ids of checks that belong to the audit and are not among them; by default every installed check that
            is not, so that a part of an audit gives no verdict.
        context: shared by all; a new one by default.
        progress: called with how many checks are done, how many there are, and the next one's id.
        keep: called before the first check and after each with what is known so far, where those to come are
            ``not run``.
        found: called with each finding as its check ends, after ``keep``.
    """
    context = context or AuditContext()
    if left_out is None:
        left_out = sorted(set(Index.installed().names("checks")) - {check.info.id for check in checks})
    findings = [check.info.finding("not run", "the audit ended before it", **{_TO_COME: True}) for check in checks]
    keep(Verdict(tuple(findings), tuple(left_out)))
    for done, check in enumerate(checks):
        progress(done, len(checks), check.info.id)
        findings[done] = _isolated(check, subject, context)
        keep(Verdict(tuple(findings), tuple(left_out)))
        found(findings[done])
    progress(len(checks), len(checks), "")
    return Verdict(tuple(findings), tuple(left_out))


def _isolated(check: Check, subject: Subject, context: AuditContext) -> Finding:
    try:
        with redirect_stdout(sys.stderr):
            found = check(subject, context=context)
        return found if _sound(found) else _broke(check, TypeError(f"expected a Finding of plain values, got {found}"))
    except NotRun as reason:
        return check.info.finding("not run", str(reason))
    except NoPower as reason:
        return check.info.finding("no power", str(reason))
    except BadAnswer as error:
        return check.info.finding("fail", str(error))
    except (Exception, SystemExit) as error:  # a check, an attack or a module of other people may fail in any way
        return _broke(check, error)


def _broke(check: Check, error: BaseException) -> Finding:
    own = error.__traceback__  # its first frame is the one that called the check
    blame = blamed(error.with_traceback(own.tb_next if own is not None else None))
    text = described(error) if blame is None else blame.message
    return check.info.finding("not run", f"it broke: {text}", error=type(error).__name__)


def _sound(found: object) -> bool:
    """Whether a check answered with a finding that a card can hold."""
    if not isinstance(found, Finding) or found.status not in get_args(Status) or not isinstance(found.evidence, str):
        return False
    try:
        return isinstance(found.values, Mapping) and bool(json.dumps(dict(found.values), skipkeys=True))
    except (TypeError, ValueError):
        return False
