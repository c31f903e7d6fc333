"""Harness: what an attack returns is checked, selected on one stream and scored once on another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor
from toys import Additive, Brightness, Shift

from mlvgm.errors import ConfigError, InputError
from mlvgm.foreign.given import check_images
from mlvgm.noise import Keys
from mlvgm.protocols.attack import AttackContext, AttackInfo
from mlvgm.statistics import wilson
from mlvgm_robust.alphas.adversarial_set import right_decisions, still_adversarial
from mlvgm_robust.alphas.method import AdversarialSet
from mlvgm_robust.evaluation.admissible import check_candidates, check_radius, perturbation_norm
from mlvgm_robust.evaluation.defence import Defence
from mlvgm_robust.evaluation.harness import Protocol, run_attack, select
from mlvgm_robust.evaluation.target import Target
from mlvgm_robust.purify.config import Row
from mlvgm_robust.purify.outcomes import Outcome
from mlvgm_robust.purify.plan import row_note
from mlvgm_robust.purify.units import Block, record, summarise
from mlvgm_robust.purify.worst_case import point_wise


def images_at(levels: Tensor) -> Tensor:
    return levels[:, None, None, None].expand(-1, 1, 4, 4).contiguous()


def test_exact_minimal_perturbation_of_a_linear_classifier() -> None:
    """Brightness errs exactly when the shift passes the distance of the mean from one half."""
    levels = torch.linspace(0.06, 0.94, 36)  # none on the threshold
    labels = (levels > 0.5).long()
    attacked = run_attack(Defence(Brightness()), Shift(eps=0.2, by=0.2), images_at(levels), labels)
    assert torch.equal(attacked.robust.right, (levels - 0.5).abs() > 0.2)
    assert attacked.clean.right.all() and not attacked.violations.any()
    assert attacked.norm[0] < 0.21


def test_violations_are_refused_and_reported() -> None:
    levels = torch.tensor([0.6, 0.7])
    attacked = run_attack(Defence(Brightness()), Shift(eps=0.1, by=0.101), images_at(levels), torch.tensor([1, 1]))
    assert attacked.violations.all() and attacked.robust.right.all() and (attacked.norm == 0).all()


def test_sizes_are_those_of_the_norm() -> None:
    delta = torch.tensor([0.3, -0.4, 0.0, 0.0]).reshape(1, 1, 2, 2)
    images = torch.full((1, 1, 2, 2), 0.5)
    for norm, size in (("Linf", 0.4), ("L2", 0.5), ("L1", 0.7)):
        assert float(perturbation_norm(images + delta, images, norm)) == pytest.approx(size)
        for eps, refused in ((size * 0.99, True), (size * 1.01, False)):
            outside = check_candidates(images + delta, images, AttackInfo("it", norm, eps))[1]  # type: ignore[arg-type]
            assert outside.tolist() == [refused]


def test_the_given_image_competes() -> None:
    """An attack that turns a wrong decision into a right one has not defended the image."""
    levels = torch.tensor([0.45])  # called 0, and 1 after the shift the wrong way
    attacked = run_attack(Defence(Brightness()), Shift(0.1, -0.1), images_at(levels), torch.tensor([1]))
    assert not attacked.clean.right.any() and not attacked.robust.right.any()
    assert (attacked.norm == 0).all()


def test_a_refused_candidate_shows_no_robustness() -> None:
    """Neither in the row nor in the worst case, where the image of any other attack tells more."""
    levels = torch.tensor([0.3, 0.7, 0.8, 0.9])
    labels, defence = torch.tensor([1, 1, 1, 1]), Defence(Brightness())  # the first is misclassified as it is

    def records(attack: Shift, name: str) -> dict[str, Any]:
        unit = Block(f"{name}--it--000000", "it", name, tuple(range(4)))
        return record(unit, labels, run_attack(defence, attack, images_at(levels), labels), info=attack.info) | {
            "differentiable": True
        }

    astray, honest = records(Shift(0.25, 0.26), "astray"), records(Shift(0.25, 0.25), "honest")
    assert astray["robust"] == [False, True, True, True] and all(astray["violations"])
    row = summarise([astray])
    assert (row.robust.value, row.robust_single.value, row.clean.value, row.violations) == (0, 0, 0.75, 4)
    assert "4 of 4 candidates of 'astray' refused" in row_note(Row(label="it", purifier={"name": "none"}), row)
    outcomes = [Outcome.of([one]) for one in (astray, honest)]
    assert not outcomes[0].robust.any() and not outcomes[0].robust_single.any()
    assert point_wise(outcomes[:1], norm="Linf", eps=0.25).right.tolist() == [False] * 4
    both = point_wise(outcomes, norm="Linf", eps=0.25)
    assert both.right.tolist() == honest["robust"] == [False, False, True, True]
    assert both.attacks[1:] == ("honest",) * 3
    far = Outcome.of([honest | {"attack": "far", "eps": None, "norm": [9.0] * 4}])  # nothing within the radius
    assert point_wise([outcomes[0], far], norm="Linf", eps=0.25).right.tolist() == honest["clean"]


def test_given_and_adversarial_images_are_scored_on_streams_of_their_own_and_all_votes_count() -> None:
    levels = torch.full((64,), 0.45)
    defence = Defence(Brightness(), Additive(0.3), votes=50)
    attacked = run_attack(defence, Shift(0.0, 0.0), images_at(levels), torch.zeros(64, dtype=torch.long))
    assert not torch.equal(attacked.clean.single, attacked.robust.single)
    few = run_attack(
        defence, Shift(0.0, 0.0), images_at(levels), torch.zeros(64, dtype=torch.long), protocol=Protocol(score=2)
    )
    assert torch.equal(few.clean.single, attacked.clean.single)  # 50 draws decide, however few are asked for


@pytest.mark.parametrize(
    ("norm", "largest"),
    [("Linf", 1.0), ("L2", 48**0.5), ("L1", 48.0)],
)
def test_a_ball_that_holds_every_image_is_a_slip(norm: str, largest: float) -> None:
    check_radius(AttackInfo("it", norm, largest), (3, 4, 4))  # type: ignore[arg-type]
    check_radius(AttackInfo("it", norm, None), (3, 4, 4))  # type: ignore[arg-type]
    for eps in (1.01 * largest, 1e308):
        with pytest.raises(ConfigError, match="never farther apart"):
            check_radius(AttackInfo("it", norm, eps), (3, 4, 4))  # type: ignore[arg-type]
    for eps in (float("inf"), float("nan"), -0.1):  # no attack says so of itself
        with pytest.raises(ValueError, match="expected a finite radius"):
            AttackInfo("it", norm, eps)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="never farther apart than 1"):
        run_attack(Defence(Brightness()), Shift(8.0, 0.1), images_at(torch.tensor([0.6])), torch.tensor([1]))


def test_broken_candidates_are_refused() -> None:
    images = torch.full((3, 1, 2, 2), 0.5)
    candidates = images.clone()
    candidates[0, 0, 0, 0] = float("nan")
    candidates[1] = 1.01
    _, outside = check_candidates(candidates, images, AttackInfo("any", "L2", 10.0))
    assert outside.tolist() == [True, True, False]


def test_null_control_gives_clean_accuracy_back() -> None:
    """At eps 0 selection among any number of candidates finds nothing that fresh noise would count as success."""

    @dataclass(frozen=True)
    class Lucky:
        @property
        def info(self) -> AttackInfo:
            return AttackInfo("lucky", "Linf", 0.0)

        def __call__(
            self,
            target: Target,
            images: Tensor,
            labels: Tensor,
            *,
            targets: Tensor | None = None,
            context: AttackContext,
        ) -> Tensor:
            return select(target, [images] * 20, labels, draws=context.selection)[0]

    generator = torch.Generator().manual_seed(0)
    levels = torch.rand(400, generator=generator)
    labels = (levels > 0.5).long()
    defence = Defence(Brightness(), Additive(0.15), clamp="none")
    attacked = run_attack(defence, Lucky(), images_at(levels), labels, protocol=Protocol(score=50))
    exact = float(torch.special.ndtr((levels - 0.5).abs() / 0.15).mean())
    estimate = wilson(int(attacked.robust.right.sum()), 400)
    assert estimate.low <= exact <= estimate.high
    assert abs(float(attacked.robust.single.mean()) - exact) < 0.02
    # Taking the worst of 20 single draws, as a naive evaluation would, reports far less.
    target = Target(defence, samples=range(400), purpose="naive")
    naive = (target(images_at(levels), draws=20).argmax(2) == labels[:, None]).all(1).double().mean()
    assert float(naive) < exact - 0.1


def test_streams_are_independent_and_replayable() -> None:
    levels = torch.linspace(0.3, 0.7, 16)
    labels = (levels > 0.5).long()
    defence = Defence(Brightness(), Additive(0.2))
    whole = run_attack(defence, Shift(0.05, 0.05), images_at(levels), labels, samples=range(100, 116))
    half = run_attack(defence, Shift(0.05, 0.05), images_at(levels[8:]), labels[8:], samples=range(108, 116))
    assert torch.equal(whole.robust.single[8:], half.robust.single)
    assert torch.equal(whole.clean.single[8:], half.clean.single)
    other = run_attack(
        defence, Shift(0.05, 0.05), images_at(levels), labels, samples=range(100, 116), protocol=Protocol(seed=1)
    )
    assert not torch.equal(whole.robust.single, other.robust.single)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.zeros(2, 4, 4), "expected float32"),
        (torch.zeros(1, 1, 2, 2, dtype=torch.double), "expected float32"),
        (torch.full((1, 1, 2, 2), float("nan")), "NaN"),
        (torch.full((1, 1, 2, 2), 255.0), "divide bytes by 255"),
    ],
)
def test_bad_images_are_refused(images: Tensor, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_images(images)


def test_attack_that_needs_more_classes_is_refused() -> None:
    @dataclass(frozen=True)
    class Many(Shift):
        @property
        def info(self) -> AttackInfo:
            return AttackInfo("many", "L2", 1.0, minimum_classes=4)

    with pytest.raises(ConfigError, match="needs 4 classes"):
        run_attack(Defence(Brightness()), Many(1.0, 0.1), images_at(torch.tensor([0.6])), torch.tensor([1]))


def test_wrong_labels_are_refused() -> None:
    with pytest.raises(InputError, match="labels"):
        run_attack(Defence(Brightness()), Shift(1.0, 0.1), images_at(torch.tensor([0.6])), torch.tensor([7]))


def test_one_label_for_each_image() -> None:
    images, labels = images_at(torch.tensor([0.6])), torch.tensor([1])
    with pytest.raises(InputError, match="1 images, labels of shape"):
        run_attack(Defence(Brightness(), Additive(0.1)), Shift(1.0, 0.1), images, labels.repeat(2))


def test_no_draw_of_noise_is_taken_twice() -> None:
    """Neither by two scores nor by selection and score: what was chosen for its luck would be scored on its luck."""
    drawn: list[tuple[int, str, tuple[int, int]]] = []

    @dataclass(frozen=True)
    class Listening(Additive):
        def noise(self, keys: Keys) -> Tensor:
            drawn.extend((keys.seed, keys.purpose, row) for row in keys.rows)
            return super().noise(keys)

    levels = torch.tensor([0.4, 0.6])
    run_attack(Defence(Brightness(), Listening(0.2)), Shift(0.05, 0.05), images_at(levels), (levels > 0.5).long())
    assert len(drawn) == len(set(drawn)) > 2 * (20 + 2 * 32 + 20)


def test_a_refused_candidate_is_a_violation_though_another_one_is_not() -> None:
    """Where gradients are approximate, what transfers from the bare classifier competes too."""

    @dataclass(frozen=True)
    class Astray(Shift):
        @property
        def info(self) -> AttackInfo:
            return AttackInfo("astray", "Linf", self.eps)

        def __call__(self, target: Target, images: Tensor, labels: Tensor, **options: Any) -> Tensor:
            return images + (0.0 if target.defence.purifier is None else 2 * self.eps)

    levels = torch.tensor([0.3, 0.7])
    defence = Defence(Brightness(), Additive(0.01, differentiable=False))
    attacked = run_attack(defence, Astray(0.05, 0.0), images_at(levels), (levels > 0.5).long())
    assert "transfer" in attacked.paths and attacked.violations.all()


def test_a_set_is_verified_on_draws_that_did_not_choose_it() -> None:
    """Of decisions that are a coin's toss, half are wrong again."""
    images, labels, samples = images_at(torch.full((400,), 0.5)), torch.ones(400, dtype=torch.long), tuple(range(400))
    defence = Defence(Brightness(), Additive(0.2), clamp="none")
    wrong = ~right_decisions(defence, images, labels, samples, seed=0, purpose="set/after")
    chosen = AdversarialSet(images, images, labels, samples)[wrong]
    # Five standard deviations of 200 tosses.
    assert still_adversarial(defence, chosen, seed=0).double().mean().item() == pytest.approx(0.5, abs=0.18)
