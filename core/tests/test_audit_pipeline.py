"""The audit's machinery: isolation, verdicts, runs shared between checks, paired tests, imported modules."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mlvgm.attempts import AuditContext
from mlvgm.defence import Defence
from mlvgm.errors import ConfigError, InputError
from mlvgm.harness import Protocol, run_attack
from mlvgm.imported import ImportedDefence, UnknownClassifier, imported_defence
from mlvgm.noise import Keys
from mlvgm.paired import mcnemar, paired_difference
from mlvgm.pipelines.audit import Verdict, audit
from mlvgm.protocols.attack import AttackInfo
from mlvgm.protocols.check import CheckInfo, Finding, NotRun, Subject, adjusted, effort


@dataclass(frozen=True)
class Halves:
    """Two classes by the mean pixel."""

    classes: int = 2

    def to(self, device: Any) -> Halves:
        return self

    def __call__(self, images: Tensor) -> Tensor:
        mean = images.flatten(1).mean(1)
        return torch.stack([0.5 - mean, mean - 0.5], 1)


@dataclass(frozen=True)
class Push:
    """Adds ``eps`` to every pixel; counts its calls."""

    eps: float = 0.3
    steps: int = 1
    calls: list[int] = field(default_factory=list)

    @property
    def info(self) -> AttackInfo:
        return AttackInfo("push", "Linf", self.eps)

    def __call__(self, target: Any, images: Tensor, labels: Tensor, **options: Any) -> Tensor:
        self.calls.append(len(images))
        target.gradient(images, lambda logits, labels: logits[:, 1], labels)
        return (images + self.eps).clamp(0, 1)


@dataclass(frozen=True)
class Says:
    """A check that does what it is told."""

    what: Any
    name: str = "says"

    @property
    def info(self) -> CheckInfo:
        return CheckInfo(self.name, (3,))

    def __call__(self, subject: Subject, *, context: AuditContext) -> Finding:
        if isinstance(self.what, BaseException):
            raise self.what
        return self.info.finding(self.what, f"{self.name} {self.what}")


def evaluation(attack: Push | None = None, count: int = 6) -> Subject:
    images = torch.linspace(0, 0.45, count)[:, None, None, None].expand(-1, 1, 2, 2).contiguous()
    labels = torch.zeros(count, dtype=torch.long)
    return Subject.of(Defence(Halves()), attack or Push(), images, labels, protocol=Protocol(eot=1))


def test_a_check_that_breaks_is_not_run_and_says_why() -> None:
    checks = [Says(ValueError("no\nsuch thing")), Says(NotRun("does not apply")), Says("pass"), Says("warn")]
    messages = list[tuple[int, int, str]]()
    verdict = audit(evaluation(), checks, progress=lambda *each: messages.append(each))
    assert [each.status for each in verdict.findings] == ["not run", "not run", "pass", "warn"]
    assert verdict.findings[0].evidence == "it broke: ValueError: no such thing"
    assert verdict.findings[1].evidence == "does not apply"
    assert not verdict.believable, "nobody knows what the broken one would have found"
    assert verdict.sentence == (
        "believable: no because says: it broke: ValueError: no such thing (1 check warn, 2 checks not run)"
    )
    assert messages[0] == (0, 4, "says") and messages[-1] == (4, 4, "")


def test_what_does_not_apply_is_no_reason_to_doubt() -> None:
    verdict = audit(evaluation(), [Says(NotRun("does not apply")), Says("pass"), Says("warn")])
    assert verdict.sentence == "believable: yes because 1 check passed and none failed (1 check warn, 1 check not run)"


def test_one_failure_or_nothing_at_all_is_no() -> None:
    verdict = audit(evaluation(), [Says("pass"), Says("fail", "a"), Says("fail", "b")])
    assert not verdict.believable
    assert verdict.sentence == "believable: no because a: a fail; b: b fail"
    nothing = audit(evaluation(), [Says(NotRun("no"))])
    assert not nothing.believable
    assert nothing.sentence == "believable: no because no check passed (1 check not run)"
    assert not Verdict(()).believable


def test_an_interrupt_is_no_finding() -> None:
    with pytest.raises(KeyboardInterrupt):
        audit(evaluation(), [Says(KeyboardInterrupt())])


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


@pytest.mark.parametrize("seed", range(3))
def test_sign_flips_against_all_of_them(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    before, after = torch.rand(9, generator=generator), torch.rand(9, generator=generator) * 0.7
    gap = (before - after).double()
    sums = torch.tensor(
        [sum(s * g for s, g in zip(signs, gap.tolist(), strict=True)) for signs in product([-1, 1], repeat=9)]
    )
    exact = float((sums >= gap.sum() - 1e-9).double().mean())
    found = paired_difference(before, after)
    assert found.fall == pytest.approx(float(gap.mean())) and found.p == pytest.approx(exact, abs=0.02)
    assert paired_difference(after, before).p_rise == pytest.approx(exact, abs=0.02)


def test_few_images_are_never_significant() -> None:
    assert paired_difference(torch.ones(6), torch.zeros(6)).p > 0.01
    assert paired_difference(torch.ones(40), torch.zeros(40)).p < 0.001


def test_mcnemar_is_a_sign_test_of_what_differs() -> None:
    first = torch.tensor([True] * 9 + [False] + [True] * 20)
    second = torch.tensor([False] * 9 + [True] + [True] * 20)
    assert mcnemar(first, second) == pytest.approx(2 * (1 + 10) / 2**10)
    assert mcnemar(first, first) == 1.0


class Plain(nn.Module):
    """Logits by the mean pixel."""

    def forward(self, images: Tensor) -> Tensor:
        mean = images.flatten(1).mean(1)
        return torch.stack([0.5 - mean, mean - 0.5], 1)


class Noisy(Plain):
    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images + 0.1 * torch.randn_like(images))


class OwnGenerator(Plain):
    """Random, from a generator that nobody else can seed."""

    def __init__(self) -> None:
        super().__init__()
        self.generator = torch.Generator().manual_seed(1)

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images + 0.1 * torch.randn(images.shape, generator=self.generator))


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> Iterator[types.ModuleType]:
    made = types.ModuleType("people")
    made.plain, made.Noisy, made.OwnGenerator = Plain(), Noisy, OwnGenerator  # type: ignore[attr-defined]
    made.defence, made.number, made.flat = Defence(Halves()), 3, nn.Flatten(0)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "people", made)
    yield made


IMAGES = torch.rand(4, 1, 2, 2, generator=torch.Generator().manual_seed(0))


def test_a_deterministic_module_is_a_defence_of_one_draw(modules: types.ModuleType) -> None:
    defence, replayable = imported_defence("people:plain", IMAGES, votes=5)
    assert replayable and not defence.stochastic and defence.classes == 2 and defence.votes == 1
    torch.testing.assert_close(defence(IMAGES), Plain()(IMAGES))
    with pytest.raises(InputError, match="bare classifier"):
        replace(defence, purifier=None)(IMAGES)


def test_a_random_module_is_seeded_by_its_keys_and_leaves_the_global_generator_alone(modules: types.ModuleType) -> None:
    state = torch.get_rng_state()
    defence, replayable = imported_defence("people:Noisy", IMAGES, votes=5)
    assert replayable and defence.stochastic and defence.votes == 5
    keys = Keys.of(seed=0, purpose="p", samples=range(4), draws=range(3))
    once = defence.draw(IMAGES, keys)
    assert once.shape == (4, 3, 2) and torch.equal(once, defence.draw(IMAGES, keys))
    assert not torch.equal(once[:, 0], once[:, 1]) and not torch.equal(once, defence.draw(IMAGES, keys.derive("q")))
    assert torch.equal(torch.get_rng_state(), state)
    # One call a row: then the noise follows the image into any batch.
    alone = replace(defence, purifier=replace(defence.purifier, alone=True))  # type: ignore[type-var]
    rows = alone.draw(IMAGES, keys)
    torch.testing.assert_close(alone.draw(IMAGES[[2]], keys[6:9]), rows[[2]])
    assert torch.equal(torch.get_rng_state(), state)


def test_a_module_with_a_generator_of_its_own_cannot_be_replayed(modules: types.ModuleType) -> None:
    defence, replayable = imported_defence("people:OwnGenerator", IMAGES)
    assert defence.stochastic and not replayable
    with pytest.raises(NotRun, match="cannot be repeated"):
        replace(evaluation(), replayable=replayable).replayed()


def test_the_classifier_inside_a_module_may_be_named(modules: types.ModuleType) -> None:
    defence, _ = imported_defence("people:Noisy", IMAGES, classifier=Halves())
    torch.testing.assert_close(replace(defence, purifier=None)(IMAGES), Halves()(IMAGES))
    unknown, _ = imported_defence("people:Noisy", IMAGES)
    assert isinstance(unknown, ImportedDefence) and unknown.classifier == UnknownClassifier(2)
    with pytest.raises(NotRun, match="--classifier"):
        replace(evaluation(), classifier=None).bare()
    keys = Keys.of(seed=0, purpose="p", samples=range(4))
    with pytest.raises(ConfigError, match="BPDA"):
        defence.draw(IMAGES, keys, backward="bpda")


def test_a_defence_of_ours_is_taken_as_it_is(modules: types.ModuleType) -> None:
    assert imported_defence("people:defence", IMAGES) == (modules.defence, True)


@pytest.mark.parametrize(
    ("target", "error", "words"),
    [
        ("people", ConfigError, "expected module:attribute"),
        ("people:nobody", ConfigError, "has no nobody"),
        ("no_such_people:plain", ConfigError, "does not import"),
        ("people:number", InputError, "does not make a module"),
        ("people:flat", InputError, "expected logits"),
        ("builtins:dict", InputError, "expected an nn.Module"),
    ],
)
def test_what_is_no_defence_is_refused_in_one_line(
    modules: types.ModuleType, target: str, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        imported_defence(target, IMAGES)
