"""The audit believes what is sound, and each check finds what is planted for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from audited import (
    SOUND,
    STRONG,
    Clamped,
    Detached,
    Idle,
    Ill,
    KeepsLuck,
    KnowsImages,
    KnowsSamples,
    Overshoots,
    Probabilities,
    Rounding,
    StopsEarly,
    StraightThrough,
    Tires,
    TooFar,
    checks,
    find,
    forgetful_judge,
    lucky_judge,
    subject,
)
from golden_classifier import classifier

from mlvgm.plugins.index import Index
from mlvgm_robust.audit.subject import Subject
from mlvgm_robust.audit.verdict import Verdict, audit
from mlvgm_robust.evaluation.defence import Defence
from mlvgm_robust.purifiers.noise import AddNoise
from mlvgm_robust.purifiers.none import Identity

# What broken evaluations fail; the others only inform, or need many attacks.
SOUNDNESS = (
    "gradient.path",
    "gradient.kinds",
    "control.null",
    "sanity.unbounded",
    "transfer.undefended",
    "active.test",
    "loss.sane",
    "failure.indicators",
    "statistics",
    "compliance",
    "budget",
    "artefacts",
    "leak.samples",
    "leak.images",
)


def assert_believable(verdict: Verdict) -> None:
    assert [f"{each.check}: {each.evidence}" for each in verdict.of("fail")] == []
    assert not [each.evidence for each in verdict.of("not run") if "it broke" in each.evidence]
    assert verdict.believable and verdict.sentence.startswith("believable: yes because ")
    # What tells sound from broken must really have been asked.
    ran = {each.check for each in verdict.of("pass")}
    assert ran >= {"gradient.path", "active.test", "sanity.unbounded", "compliance", "leak.samples", "leak.images"}


@pytest.mark.parametrize("name", SOUND)
def test_sound_evaluations_are_believable(name: str) -> None:
    assert_believable(audit(SOUND[name](24), checks(*SOUNDNESS), left_out=[]))


@pytest.mark.slow
@pytest.mark.parametrize("name", SOUND)
def test_by_every_check(name: str) -> None:
    verdict = audit(SOUND[name](32), checks())
    assert len(verdict.findings) == len(Index.installed().names("checks"))
    assert_believable(verdict)


def _knows_samples() -> Subject:
    sound = subject(Defence(classifier()))
    return replace(sound, defence=KnowsSamples(classifier(), answers=sound.labels))


def _knows_images() -> Subject:
    sound = subject(Defence(classifier()))
    knows = KnowsImages(sound.images, sound.labels)
    return replace(sound, defence=Defence(knows), classifier=knows)


def _banded(purifier: Any) -> Subject:
    """Images with a black and a white band, as real ones have."""
    sound = subject(Defence(classifier(), purifier))
    images = sound.images.clone()
    images[:, :, :4], images[:, :, -2:] = 0, 1
    return replace(sound, images=images)


def _noisy(attack: Any = STRONG, **options: Any) -> Subject:
    return subject(Defence(classifier(), AddNoise(6.0)), attack, **options)


def _plain(attack: Any) -> Subject:
    return subject(Defence(classifier()), attack)


BROKEN: dict[str, tuple[Callable[[], Subject], tuple[str, ...]]] = {
    "gradient masked by rounding": (
        lambda: subject(Defence(classifier(), Rounding())),
        ("gradient.path", "gradient.kinds", "transfer.undefended", "active.test"),
    ),
    "gradient faked straight through rounding": (
        lambda: subject(Defence(classifier(), StraightThrough())),
        ("gradient.path",),
    ),
    "gradient blocked at the edges of the box": (lambda: _banded(Clamped()), ("gradient.path",)),
    "encoder detached": (lambda: subject(Defence(classifier(), Detached())), ("gradient.path",)),
    "encoder detached, some of the image past it": (
        lambda: subject(Defence(classifier(), Detached(0.1))),
        ("gradient.path",),
    ),
    "judge that counts lucky draws": (lambda: _noisy(judge=lucky_judge), ("control.null", "artefacts")),
    "attack that keeps lucky draws": (
        lambda: _noisy(KeepsLuck()),
        ("failure.indicators", "sanity.unbounded"),
    ),
    "attack that leaves the ball by 1e-3": (lambda: _plain(TooFar()), ("compliance",)),
    "attack that returns no numbers": (lambda: _plain(Ill()), ("compliance",)),
    "attack that stops early": (
        lambda: _plain(StopsEarly()),
        ("sanity.unbounded", "active.test", "failure.indicators"),
    ),
    "attack that gets weaker": (lambda: _plain(Tires()), ("sanity.unbounded", "sanity.iterations")),
    "attack that gives up in wide balls": (lambda: _plain(Overshoots()), ("sanity.unbounded", "sanity.eps")),
    "attack that does nothing": (lambda: _plain(Idle()), ("budget", "active.test", "sanity.unbounded")),
    "probabilities for logits": (lambda: subject(Defence(Probabilities())), ("loss.sane",)),
    "no numbers for logits": (
        lambda: subject(Defence(lambda images: classifier()(images) / 0, AddNoise(2.0))),
        ("loss.sane",),
    ),
    "defence that knows its samples": (_knows_samples, ("leak.samples",)),
    "defence that knows its images": (_knows_images, ("leak.images",)),
    "judge that keeps other images": (
        lambda: replace(_plain(STRONG), judge=forgetful_judge),
        ("control.null", "artefacts"),
    ),
    "samples that occur twice": (
        lambda: replace(_plain(STRONG), samples=[0] * 12 + list(range(12))),
        ("statistics",),
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_planted_is_found(name: str) -> None:
    make, expected = BROKEN[name]
    verdict = audit(make(), checks(*expected))
    assert {each.check: each.status for each in verdict.findings} == dict.fromkeys(expected, "fail")
    assert not verdict.believable
    assert verdict.sentence.startswith(f"believable: no because {verdict.findings[0].check}: ")


@pytest.mark.parametrize("purifier", [Identity(), AddNoise(2.0)])
def test_clamps_that_let_gradients_pass_at_the_edges_are_believed(purifier: Any) -> None:
    assert find("gradient.path", _banded(purifier)).status == "pass"
