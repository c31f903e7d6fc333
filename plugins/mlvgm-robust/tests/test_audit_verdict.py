"""Audits: isolation of checks, and the verdict."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from audit_toys import evaluation

from mlvgm.foreign.others import NotFinite
from mlvgm.plugins.index import Index
from mlvgm_robust.audit.attempts import AuditContext
from mlvgm_robust.audit.card import as_plain, write_card
from mlvgm_robust.audit.finding import CheckInfo, Finding, NoPower, NotRun
from mlvgm_robust.audit.subject import Subject
from mlvgm_robust.audit.verdict import Verdict, audit


@dataclass(frozen=True)
class Says:
    """A check that does what it is told."""

    what: Any
    name: str = "says"
    requirements: tuple[int, ...] = (3,)

    @property
    def info(self) -> CheckInfo:
        return CheckInfo(self.name, self.requirements)

    def __call__(self, subject: Subject, *, context: AuditContext) -> Finding:
        if isinstance(self.what, BaseException):
            raise self.what
        return self.info.finding(self.what, f"{self.name} {self.what}")


def test_a_check_that_breaks_is_not_run_and_says_why() -> None:
    checks = [Says(ValueError("no\nsuch thing")), Says(NotRun("does not apply")), Says("pass"), Says("warn")]
    messages = list[tuple[int, int, str]]()
    verdict = audit(evaluation(), checks, left_out=[], progress=lambda *each: messages.append(each))
    assert [each.status for each in verdict.findings] == ["not run", "not run", "pass", "warn"]
    assert verdict.findings[0].evidence == "it broke: ValueError: no such thing"
    assert verdict.findings[1].evidence == "does not apply"
    assert not verdict.believable, "nobody knows what the broken one would have found"
    assert verdict.sentence == (
        "believable: no because says: it broke: ValueError: no such thing (1 check warn, 2 checks not run)"
    )
    assert messages[0] == (0, 4, "says") and messages[-1] == (4, 4, "")


def test_what_does_not_apply_is_no_reason_to_doubt() -> None:
    verdict = audit(evaluation(), [Says(NotRun("does not apply")), Says("pass"), Says("warn")], left_out=[])
    assert verdict.sentence == "believable: yes because 1 check passed and none failed (1 check warn, 1 check not run)"


def test_one_failure_or_nothing_at_all_is_no() -> None:
    verdict = audit(evaluation(), [Says("pass"), Says("fail", "a"), Says("fail", "b")], left_out=[])
    assert not verdict.believable
    assert verdict.sentence == "believable: no because a: a fail; b: b fail"
    nothing = audit(evaluation(), [Says(NotRun("no"))], left_out=[])
    assert not nothing.believable
    assert nothing.sentence == "believable: no because no check passed (1 check not run)"
    assert not Verdict(()).believable


def test_part_of_an_audit_is_no_verdict_unless_something_fails() -> None:
    part = audit(evaluation(), [Says("pass"), Says("warn")], left_out=["b", "c"])
    assert part.believable is None and part.left_out == ("b", "c")
    assert part.sentence == "no verdict: 1 check passed and none failed (1 check warn, 2 checks left out)"
    failed = audit(evaluation(), [Says("pass"), Says("fail", "a")], left_out=["b"])
    assert failed.believable is False
    assert failed.sentence == "believable: no because a: a fail (1 check left out)"
    assert audit(evaluation(), [Says("warn")], left_out=["b"]).believable is False, "nothing has passed"


def test_what_could_not_be_tested_costs_the_verdict_and_is_named() -> None:
    weak = Says(NoPower("too few queries"), "weak", (10,))
    verdict = audit(evaluation(), [Says("pass"), weak, Says(NoPower("too few queries"), "w2", ())], left_out=[])
    assert [each.status for each in verdict.findings] == ["pass", "no power", "no power"]
    assert verdict.believable is None and [each.check for each in verdict.untested] == ["weak", "w2"]
    assert verdict.sentence == (
        "no verdict: 1 check passed and none failed, but weak, w2 could not test it: too few queries "
        "(2 checks no power)"
    )
    # Another check that answers for the same requirement makes up for it, one that does not apply does not.
    assert audit(evaluation(), [weak, Says("pass", "strong", (10,))], left_out=[]).believable is True
    assert audit(evaluation(), [Says("pass"), weak, Says("warn", "strong", (10, 4))], left_out=[]).believable is True
    assert audit(evaluation(), [Says("pass"), weak, Says(NotRun("n"), "other", (10,))], left_out=[]).believable is None
    two = Says(NoPower("too few"), "two", (10, 11))
    assert audit(evaluation(), [two, Says("pass", "strong", (10,))], left_out=[]).believable is None
    nameless = Says(NoPower("too few"), "leak", ())
    assert audit(evaluation(), [nameless, Says("pass", "leak.other", ())], left_out=[]).believable is None
    assert audit(evaluation(), [weak, Says("fail", "bad", (10,))], left_out=[]).believable is False
    assert audit(evaluation(), [weak], left_out=[]).believable is None, "nothing was answered, nothing is wrong"


def test_findings_come_one_by_one_after_they_are_kept() -> None:
    events = list[tuple[str, Any]]()
    checks = [Says("warn", "a"), Says("pass", "b")]
    audit(
        evaluation(),
        checks,
        left_out=[],
        keep=lambda verdict: events.append(("keep", [each.status for each in verdict.findings])),
        found=lambda finding: events.append(("found", finding.check)),
    )
    assert events == [
        ("keep", ["not run", "not run"]),
        ("keep", ["warn", "not run"]),
        ("found", "a"),
        ("keep", ["warn", "pass"]),
        ("found", "b"),
    ]


def test_installed_checks_that_are_not_given_are_left_out() -> None:
    installed = Index.installed().names("checks")
    assert "compliance" in installed
    verdict = audit(evaluation(), [Says("pass", "compliance")])
    assert set(verdict.left_out) == set(installed) - {"compliance"} and verdict.believable is None
    assert audit(evaluation(), [Says("pass", name) for name in installed]).believable is True


def test_logits_that_are_no_numbers_fail() -> None:
    verdict = audit(evaluation(), [Says(NotFinite("it")), Says("pass")], left_out=[])
    assert [each.status for each in verdict.findings] == ["fail", "pass"]
    assert verdict.sentence.startswith("believable: no because says: it gives NaN or infinite logits")


def test_an_audit_that_is_stopped_keeps_what_it_knows() -> None:
    known = list[Verdict]()
    checks = [Says("warn", "a"), Says("pass", "b"), Says(KeyboardInterrupt(), "c"), Says("pass", "d")]
    with pytest.raises(KeyboardInterrupt):
        audit(evaluation(), checks, left_out=[], keep=known.append)
    assert [each.status for each in known[0].findings] == ["not run"] * 4
    assert [each.status for each in known[-1].findings] == ["warn", "pass", "not run", "not run"]
    assert [verdict.believable for verdict in known] == [None, None, None], "nothing is decided yet"
    assert known[0].sentence == "no verdict: no check passed (4 checks not run)"
    audit(evaluation(), [Says("fail", "a"), Says("pass", "b")], left_out=[], keep=known.append)
    assert known[-1].believable is False, "one failure is enough"


def test_the_card_says_what_was_left_out(tmp_path: Path) -> None:
    whole = Verdict((Finding("a", (1,), "pass", "fine"),))
    part = replace(whole, left_out=("b", "<c>"))
    for verdict, believable in ((whole, True), (part, None)):
        plain = as_plain(verdict, subject="it", config={})
        write_card(tmp_path, verdict, plain)
        assert plain["believable"] is believable and plain["left_out"] == list(verdict.left_out)
        assert json.loads((tmp_path / "audit.json").read_text()) == plain
        page, text = (tmp_path / "audit.html").read_text(), (tmp_path / "audit.md").read_text()
        assert ("Left out: b, &lt;c&gt;" in page) == ("Left out: `b`, `<c>`" in text) == (verdict is part)


def test_an_interrupt_is_no_finding() -> None:
    with pytest.raises(KeyboardInterrupt):
        audit(evaluation(), [Says(KeyboardInterrupt())])
