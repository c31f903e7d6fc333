"""Attacks of an audit: each is run once for all checks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from audit_toys import Halves, Push, evaluation

from mlvgm.errors import InputError
from mlvgm.latents import ImageSpec
from mlvgm.protocols.attack import AttackInfo
from mlvgm.protocols.data import DataInfo, Split
from mlvgm_robust.audit.attempts import AuditContext, worth
from mlvgm_robust.audit.evaluation import _reserve
from mlvgm_robust.audit.finding import NotRun
from mlvgm_robust.audit.subject import adjusted, effort
from mlvgm_robust.evaluation.defence import Defence
from mlvgm_robust.evaluation.harness import Protocol, Scores, run_attack


def test_an_attack_is_run_once_for_all_that_ask() -> None:
    attack = Push()
    subject, context = evaluation(attack), AuditContext()
    whole = context.attempt(subject)
    assert whole.accuracy == float((subject.images.flatten(1).mean(1) + 0.3 < 0.5).double().mean())
    assert context.attempt(subject) is not None and attack.calls == [6]
    part = context.attempt(subject.first(2))
    assert attack.calls == [6] and torch.equal(part.attacked.images, whole.attacked.images[:2])
    assert torch.equal(part.right, whole.right[:2]) and torch.equal(part.returned[0], whole.returned[0][:2])
    # Anything that could change the outcome is another run.
    for changed in (
        lambda: context.attempt(subject, replace(attack, eps=0.1)),
        lambda: context.attempt(subject, protocol=Protocol(eot=2)),
        lambda: context.attempt(replace(subject, labels=1 - subject.labels)),
        lambda: context.attempt(replace(subject, samples=range(10, 16))),
        lambda: context.attempt(replace(subject, images=subject.images + 0.01)),
        lambda: context.attempt(subject, defence=Defence(Halves(), votes=3)),
        lambda: context.attempt(replace(subject, judge=lambda *given, **named: run_attack(*given, **named))),
    ):
        before = len(attack.calls)
        changed()
        assert len(attack.calls) == before + 1
    # A smaller run does not serve for a larger one.
    fresh = AuditContext()
    fresh.attempt(subject.first(3))
    before = len(attack.calls)
    fresh.attempt(subject)
    assert len(attack.calls) == before + 1


def test_attempts_are_those_on_the_defence_within_the_ball() -> None:
    subject, context = evaluation(), AuditContext()
    context.attempt(subject)
    context.attempt(subject, Push(0.1))
    context.attempt(subject, Push(0.9))
    context.attempt(subject, defence=Defence(Halves(), votes=3))
    context.attempt(subject.first(2), Push(0.2))
    assert sorted(each.info.eps or 0 for each in context.attempts(subject)) == [0.1, 0.3]


def test_options_of_an_attack_are_found_or_it_is_said() -> None:
    assert effort(Push()) == "steps" and adjusted(Push(), eps=0.0).info.eps == 0.0
    with pytest.raises(NotRun, match="no option 'restarts'"):
        adjusted(Push(), restarts=2)
    with pytest.raises(NotRun, match="no option 'eps'"):
        adjusted(object.__new__(type("Foreign", (), {"info": AttackInfo("f", "L2", 1.0)})), eps=1.0)


def test_a_voting_defence_is_judged_by_its_votes() -> None:
    scores = Scores(torch.tensor([True, False]), torch.tensor([0.25, 0.75]))
    assert worth(scores, 1).tolist() == [0.25, 0.75] and worth(scores, 3).tolist() == [1.0, 0.0]


def test_images_held_back_are_none_of_those_evaluated() -> None:
    class OnlyTest:
        info = DataInfo("toy", ImageSpec(1, 2, 2), ("dark", "bright"), "MIT", "made here", sample=True)

        def size(self, split: Split) -> int:
            if split != "test":
                raise InputError("only a sample")
            return 8

        def batch(self, split: Split, ids: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
            index = torch.tensor(list(ids))
            return (index / 8)[:, None, None, None].expand(-1, 1, 2, 2).float(), index % 2

    config: Any = SimpleNamespace(split="test", device="cpu")
    for count, expected in ((3, [5, 6, 7]), (6, [6, 7])):
        found = _reserve(OnlyTest(), config, count=count)
        assert found is not None and (8 * found[0][:, 0, 0, 0]).tolist() == expected
