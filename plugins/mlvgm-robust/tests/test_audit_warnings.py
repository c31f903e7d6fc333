"""Checks that mostly inform: each says the other thing too where there is reason to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from audited import STRONG, Idle, checks, find, generative, subject
from golden_classifier import classifier
from torch import Tensor

from mlvgm.noise import Keys
from mlvgm.plugins.index import Index
from mlvgm.plugins.load import build, component, config_class
from mlvgm_robust.attacks.deepfool import DeepFool
from mlvgm_robust.attacks.square import Square
from mlvgm_robust.audit.attempts import AuditContext
from mlvgm_robust.audit.finding import Finding, NoPower, NotRun
from mlvgm_robust.audit.subject import Subject
from mlvgm_robust.checks.doubled import as_double, doubled
from mlvgm_robust.checks.known_noise import KnownNoise
from mlvgm_robust.checks.planted import plant
from mlvgm_robust.checks.statistics import Statistics, StatisticsConfig
from mlvgm_robust.checks.worst_case import worst_case
from mlvgm_robust.evaluation.admissible import perturbation_norm
from mlvgm_robust.evaluation.defence import Defence
from mlvgm_robust.evaluation.harness import run_attack
from mlvgm_robust.purifiers.noise import AddNoise
from mlvgm_robust.purifiers.none import Identity
from tolerance import close


@dataclass(frozen=True)
class Maximum(Defence):
    """Declares mean logits and decides by the largest."""

    def vote(self, logits: Tensor) -> Tensor:
        return logits.amax(1)


@dataclass(frozen=True)
class Sticky:
    """Deterministic noise purifier in everything but its flag: no draw differs."""

    inner: AddNoise
    stochastic: bool = True
    differentiable: bool = True

    def noise(self, keys: Any) -> Any:
        return self.inner.noise(replace(keys, purpose="one", rows=tuple((sample, 0) for sample, _ in keys.rows)))

    def purify(self, images: Tensor, noise: Any) -> Tensor:
        return self.inner.purify(images, noise)


@dataclass(frozen=True)
class Nearest(Identity):
    """Returns the nearest of the true images, which undoes every attack."""

    known: Tensor | None = None

    def purify(self, images: Tensor, noise: Any) -> Tensor:
        assert self.known is not None
        nearest = torch.cdist(images.flatten(1), self.known.flatten(1)).argmin(1)
        return super().purify(self.known[nearest] + 0 * images, noise)


def noisy(norm: float, *, votes: int = 1, **options: Any) -> Subject:
    return subject(Defence(classifier(), AddNoise(norm), votes=votes), **options)


CASES: Mapping[str, tuple[str, Subject, Subject]] = {
    "an objective that is not the vote's fails": (
        "eot.rule",
        noisy(4.0, votes=4, count=8),
        subject(Maximum(classifier(), AddNoise(4.0), votes=4), count=8),
    ),
    "gradients of one draw that point anywhere": (
        "eot.converged",
        subject(Defence(classifier(), Sticky(AddNoise(12.0))), count=8),
        subject(
            Defence(classifier(), AddNoise(25.0)), count=8, protocol=replace(noisy(1.0).protocol, eot=1, selection=8)
        ),
    ),
    "robustness that is the secrecy of the noise": (
        "randomness.protocol",
        noisy(0.5, count=12),
        noisy(9.0, count=12, attack=replace(STRONG, eps=0.8)),
    ),
    "noise that answers otherwise when asked again": (
        "resubmission",
        noisy(0.5, count=12),
        noisy(3.0, votes=2, count=16, attack=replace(STRONG, eps=0.4)),
    ),
    "a black box that does what gradients cannot": (
        "blackbox.square",
        subject(Defence(classifier()), replace(STRONG, norm="Linf", eps=0.1), count=16),
        subject(Defence(classifier()), Idle("Linf", 0.1), count=16),
    ),
    "a loss that saturates": (
        "loss.sane",
        subject(Defence(classifier()), count=24),
        subject(Defence(classifier(scale=1e4)), count=24),
    ),
    "purification no better than noise": (
        "baselines",
        subject(Defence(classifier(), Nearest(known=subject(Defence(classifier())).images)), count=16),
        noisy(2.0, count=16),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_reasons_are_told_apart(name: str) -> None:
    check, sound, doubtful = CASES[name]
    good, bad = find(check, sound), find(check, doubtful)
    assert good.status == "pass", good.evidence
    assert bad.status in ("warn", "fail", "no power"), bad.evidence


def test_a_stronger_attack_in_the_audit_lowers_the_worst_case() -> None:
    audited, context = subject(Defence(classifier()), Idle()), AuditContext()
    stronger = context.attempt(audited, STRONG)
    (check,) = checks("worst.case")
    finding = check(audited, context=context)
    assert finding.status == "fail" and finding.values["own"] == 1.0, "so much lower that the number is refuted"
    assert finding.values["robust"] == stronger.accuracy < 1
    # Per image it is the attack with the higher chance, and a later part of the list weighs no more.
    attempts = context.attempts(audited)
    assert len(attempts) == 2 and torch.equal(worst_case(attempts), worst_case(attempts[::-1]))
    # An attack in a wider ball is another threat.
    context.attempt(audited, replace(STRONG, eps=2.0))
    assert check(audited, context=context).values["robust"] == stronger.accuracy


def test_latent_attacks_and_surrogates_are_run_on_a_generator() -> None:
    audited = subject(generative(), Idle(eps=1.0), count=16)
    assert find("adaptive.latents", audited).status in ("pass", "warn")
    assert find("transfer.surrogate", audited).status == "no power", "nothing transfers of an idle attack"
    white = replace(audited, attack=replace(STRONG, eps=1.0))
    assert find("transfer.surrogate", white).values["transfer"] < 0.9  # it transfers, and is no better
    assert find("transfer.surrogate", white).status == "pass"
    with pytest.raises(NotRun, match="no alphas"):
        find("transfer.surrogate", noisy(1.0))
    with pytest.raises(NotRun, match="needs a purifier with a generator"):
        find("adaptive.latents", noisy(1.0))


@pytest.mark.parametrize("attack", [DeepFool("L2", iterations=10), Square("L2", 0.5, queries=20)])
def test_attacks_of_other_kinds_are_audited_as_far_as_it_makes_sense(attack: Any) -> None:
    audited, context = subject(Defence(classifier()), attack, count=8), AuditContext()
    statuses = {}
    for check in checks():
        try:
            statuses[check.info.id] = check(audited, context=context).status
        except (NotRun, NoPower):
            statuses[check.info.id] = "not run"
    assert statuses["compliance"] == statuses["control.null"] == statuses["artefacts"] == "pass"
    needs_radius = {statuses[name] for name in ("sanity.eps", "active.test", "failure.indicators")}
    assert (needs_radius == {"not run"}) == (attack.info.eps is None)


def test_known_noise_is_one_draw_of_the_defence_for_each_sample() -> None:
    defence = Defence(classifier(), AddNoise(3.0), votes=4)
    known, images = KnownNoise.of(defence, seed=3), subject(defence).images[:4]
    keys = Keys.of(seed=9, purpose="any", samples=[7, 8, 9, 10])
    logits = known.draw(images, keys)
    assert not known.stochastic
    fixed = Keys.of(seed=3, purpose="audit/known", samples=[7, 8, 9, 10])
    close(logits, defence.draw(images, fixed))
    more = Keys.of(seed=1, purpose="other", samples=[9, 8], draws=range(5))
    close(known.draw(images[[2, 1]], more), logits[[2, 1]].expand(-1, 5, -1))
    plain = Defence(classifier())
    assert KnownNoise.of(plain) is plain


def test_what_is_planted_is_there_and_the_image_itself_is_not_it() -> None:
    audited = subject(Defence(classifier(), AddNoise(2.0)), count=12)
    inner = KnownNoise.of(audited.defence)
    planted = plant(audited, inner, share=0.9, steps=20)
    keys = Keys.of(seed=0, purpose="any", samples=audited.samples)
    assert planted.classes == 2 and (planted.draw(audited.images, keys)[:, 0].argmax(1) == 0).all()
    assert planted.points is not None
    assert perturbation_norm(planted.points, audited.images, "L2").max() <= audited.eps + 1e-6
    assert planted.points.min() >= 0 and planted.points.max() <= 1
    assert (planted.draw(planted.points, keys)[:, 0].argmax(1) == 1).all()
    # Rows are found by their sample ids, in any order and number of draws.
    some = Keys.of(seed=0, purpose="any", samples=[5, 2], draws=range(3))
    assert planted.draw(planted.points[[5, 2]], some).argmax(2).tolist() == [[1, 1, 1], [1, 1, 1]]
    with pytest.raises(NotRun, match="which images"):
        planted.draw(audited.images[:1], Keys.of(seed=0, purpose="any", samples=[-1]))


def test_double_precision_is_everywhere_and_the_original_is_untouched() -> None:
    defence = generative(alphas=(0.0, 0.5, 1.0))
    copied = doubled(defence)
    images = subject(defence).images[:2]
    keys = Keys.of(seed=0, purpose="p", samples=range(2))
    double = copied.draw(images.double(), keys)
    assert double.dtype == torch.float64 and defence.draw(images, keys).dtype == torch.float32
    close(double.float(), defence.draw(images, keys))
    network = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
    assert as_double(network)[0].weight.dtype == torch.float64 and network[0].weight.dtype == torch.float32
    assert as_double({"a": [torch.zeros(1), 3]})["a"][0].dtype == torch.float64


def test_evidence_is_one_plain_sentence_with_plain_values() -> None:
    finding: Finding = find("leak.samples", subject(Defence(classifier()), count=8))
    assert "\n" not in finding.evidence and finding.requirements == ()
    assert all(isinstance(value, float) for value in finding.values.values())


@pytest.mark.parametrize("name", Index.installed().names("checks"))
def test_every_check_has_settings_for_each_budget(name: str) -> None:
    config = config_class(component("checks", name))
    for budget, preset in getattr(config, "BUDGETS", {}).items():
        assert budget in ("demo", "standard", "rigorous")
        assert build("checks", name, preset).info.id == name


def test_two_images_cannot_show_that_a_defence_knows_them() -> None:
    """Two right and two wrong have no spread at all, but are no sure difference."""
    known = subject(Defence(classifier()), count=2)
    assert bool((known.defence(known.images).argmax(1) == known.labels).all())
    reserve = known.images, (known.labels + 1) % 10
    assert find("leak.images", replace(known, reserve=reserve)).status == "no power"
    many = subject(Defence(classifier()), count=24)
    assert find("leak.images", replace(many, reserve=(many.images, (many.labels + 1) % 10))).status == "fail"
    assert find("leak.images", replace(many.first(1), reserve=reserve)).status == "pass"


@dataclass(frozen=True)
class MissesSome:
    """The strong attack, which gives up on every image from number ``first`` on."""

    first: int
    inner: Any = STRONG

    @property
    def info(self) -> Any:
        return self.inner.info

    def __call__(
        self, target: Any, images: Tensor, labels: Tensor, *, targets: Tensor | None = None, context: Any
    ) -> Tensor:
        found = self.inner(target, images, labels, targets=targets, context=context).clone()
        found[self.first :] = images[self.first :]
        return found


# Wilson's upper limit by hand, z = 1.96: of 10 found in 12 it is 0.953, of 8 it is 0.862.
@pytest.mark.parametrize(("count", "found", "status"), [(12, 12, "pass"), (12, 10, "warn"), (12, 8, "fail")])
def test_planted_examples_are_missed_surely_or_perhaps(count: int, found: int, status: str) -> None:
    finding = find("active.test", subject(Defence(classifier()), MissesSome(found), count=count))
    assert finding.status == status
    assert finding.values["planted"] == count and finding.values["found"] == pytest.approx(found / count)
    p, z = found / count, 1.959964
    centre, half = p + z * z / (2 * count), z * ((p * (1 - p) + z * z / (4 * count)) / count) ** 0.5
    assert finding.values["found_interval"] == pytest.approx(
        [(c / (1 + z * z / count)) for c in (centre - half, centre + half)]
    )
    assert f"of {count} planted" in finding.evidence and "at least 90.0 % are needed" in finding.evidence


def test_a_single_planted_example_judges_no_attack() -> None:
    with pytest.raises(NotRun, match="planted for 1 of 1 images, and 10 are needed"):
        find("active.test", subject(Defence(classifier()), MissesSome(0), count=1))


@dataclass(frozen=True)
class Remembers(Defence):
    """Remembers the noise of every pass, by whether a gradient was to flow."""

    seen: dict[bool, set[Any]] | None = None

    def draw(self, images: Tensor, keys: Keys, *, backward: Any = "exact") -> Tensor:
        assert self.seen is not None
        self.seen[torch.is_grad_enabled()] |= {(keys.purpose, *row) for row in keys.rows}
        return super().draw(images, keys, backward=backward)


def test_no_step_is_judged_on_the_noise_it_has_climbed() -> None:
    seen: dict[bool, set[Any]] = {True: set(), False: set()}
    defence = Remembers(classifier(), AddNoise(2.0), seen=seen)
    find("failure.indicators", subject(defence, count=4))
    assert seen[True] and seen[False] and not seen[True] & seen[False]


def test_the_spread_over_seeds_is_of_different_seeds() -> None:
    seeds: list[int] = []

    def judge(*given: Any, protocol: Any, **named: Any) -> Any:
        seeds.append(protocol.seed)
        return run_attack(*given, protocol=protocol, **named)

    audited = replace(subject(Defence(classifier()), Idle("L2", 0.1), count=2), judge=judge)
    found = Statistics(StatisticsConfig(seeds=3))(audited, context=AuditContext())
    assert sorted(set(seeds)) == [0, 1, 2] and len(found.values["seeds"]) == 3
