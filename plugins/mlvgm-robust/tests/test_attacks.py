"""Attacks where the answer is known: linear classifiers, balls and boxes, wanted classes, empty batches."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
import torch
from golden_classifier import attack_context, run
from hypothesis import given, settings
from hypothesis import strategies as st
from linear_models import LinearClassifier, linear_problem
from pydantic import ValidationError

from mlvgm.protocols.attack import Attack
from mlvgm_robust.attacks import apgd_ce, apgd_dlr, apgd_t, autoattack, fab_t, square
from mlvgm_robust.attacks.geometry import distance
from mlvgm_robust.attacks.losses import cross_entropy
from mlvgm_robust.evaluation.defence import Defence
from mlvgm_robust.evaluation.target import Target
from mlvgm_robust.purifiers.noise import AddNoise
from tolerance import close

GRADIENT: dict[str, Callable[[str, float], Attack]] = {
    "apgd-ce": lambda norm, eps: apgd_ce.ApgdCe(norm, eps, iterations=50),
    "apgd-dlr": lambda norm, eps: apgd_dlr.ApgdDlr(norm, eps, iterations=50),
    "apgd-t": lambda norm, eps: apgd_t.ApgdT(norm, eps, iterations=50),
    "fab-t": lambda norm, eps: fab_t.FabT(norm, eps, iterations=20),
}
QUICK: dict[str, Callable[[str, float], Attack]] = {
    "apgd-ce": lambda norm, eps: apgd_ce.ApgdCe(norm, eps, iterations=8, restarts=2),
    "apgd-dlr": lambda norm, eps: apgd_dlr.ApgdDlr(norm, eps, iterations=8),
    "apgd-t": lambda norm, eps: apgd_t.ApgdT(norm, eps, iterations=6, classes=2),
    "fab-t": lambda norm, eps: fab_t.FabT(norm, eps, iterations=4, restarts=2, classes=2),
    "square": lambda norm, eps: square.Square(norm, eps, queries=70),
    "autoattack": lambda norm, eps: autoattack.AutoAttack(norm, eps, iterations=5, classes=2, queries=15),
}


@pytest.mark.parametrize(("norm", "dual"), [("Linf", 1), ("L2", 2)])
@pytest.mark.parametrize(
    ("name", "classes"),
    # Without a class to aim at, the ascent is exact for two classes: of several, it may climb towards the wrong one.
    [("apgd-ce", 2), ("apgd-dlr", 2), *((name, classes) for name in ("apgd-t", "fab-t") for classes in (2, 3, 5))],
)
def test_linear_classifiers_break_exactly_beyond_their_distance(
    name: str, norm: str, dual: float, classes: int
) -> None:
    model, x, y = linear_problem(classes=classes, images=12, shape=(3, 5, 5), seed=classes)
    exact = model.distances(x, y, dual=dual)
    for factor, broken in ((0.98, False), (1.03, True)):
        for index in (0, 5):
            attack = GRADIENT[name](norm, factor * float(exact[index]))
            adversarial = run(attack, Defence(model), x[[index]], y[[index]])
            assert bool((model(adversarial).argmax(1) != y[index]).item()) is broken


@pytest.mark.parametrize("name", ["apgd-ce", "apgd-dlr"])
@pytest.mark.parametrize(("norm", "dual"), [("Linf", 1), ("L2", 2)])
def test_untargeted_ascent_breaks_nothing_within_and_most_beyond(name: str, norm: str, dual: float) -> None:
    model, x, y = linear_problem(classes=5, images=40, shape=(3, 5, 5), seed=9)
    exact = model.distances(x, y, dual=dual)
    eps = float(exact.median())
    wrong = model(run(GRADIENT[name](norm, eps), Defence(model), x, y)).argmax(1) != y
    assert not wrong[exact > eps].any()
    assert wrong[exact < 0.97 * eps].double().mean() > 0.7


@pytest.mark.parametrize(("norm", "dual"), [("Linf", 1), ("L2", 2)])
def test_fab_finds_the_minimal_norm(norm: str, dual: float) -> None:
    model, x, y = linear_problem(classes=4, images=20, shape=(3, 5, 5), seed=0)
    exact = model.distances(x, y, dual=dual)
    adversarial = run(fab_t.FabT(norm, 1.1 * float(exact.max()), classes=1), Defence(model), x, y)
    found = model(adversarial).argmax(1) != y
    assert found.sum() >= 18  # the likeliest rival need not be the nearest
    ratio = (distance(adversarial - x, norm) / exact)[found]
    assert ratio.min() > 0.999
    assert ratio.median() < 1.01
    # The box is far, so against two classes every image has its analytic distance.
    model, x, y = linear_problem(classes=2, images=20, shape=(3, 5, 5), seed=1)
    exact = model.distances(x, y, dual=dual)
    adversarial = run(fab_t.FabT(norm, 1.1 * float(exact.max())), Defence(model), x, y)
    assert (model(adversarial).argmax(1) != y).all()
    assert (distance(adversarial - x, norm) / exact - 1).abs().max() < 1e-2


@settings(max_examples=25, deadline=None)
@given(
    name=st.sampled_from(sorted(QUICK)),
    norm=st.sampled_from(["Linf", "L2"]),
    classes=st.integers(2, 5),
    eps=st.sampled_from([0.0, 1e-6, 0.05, 0.6, 4.0]),
    shape=st.tuples(st.sampled_from([1, 3]), st.integers(1, 7), st.integers(1, 7)),
    noise=st.sampled_from([0.0, 0.2]),
)
def test_candidates_stay_in_ball_and_box(
    name: str, norm: str, classes: int, eps: float, shape: tuple[int, int, int], noise: float
) -> None:
    model, x, y = linear_problem(classes=classes, images=4, shape=shape, seed=1)
    x = (8 * (x - 0.5) + 0.5).clamp(0, 1)  # many pixels on the box's faces
    before = x.clone()
    random_state = torch.random.get_rng_state()
    adversarial = run(QUICK[name](norm, eps), Defence(model, AddNoise(noise)), x, y, eot=2, selection=16)
    assert torch.equal(torch.random.get_rng_state(), random_state)
    assert torch.equal(x, before)
    assert adversarial.isfinite().all() and adversarial.shape == x.shape
    assert adversarial.min() >= 0 and adversarial.max() <= 1
    assert (distance(adversarial - x, norm) <= eps + 1e-6).all()


@pytest.mark.parametrize("name", QUICK)
def test_misclassified_images_come_back_as_they_are_and_cost_nothing_more(name: str) -> None:
    model, x, y = linear_problem(classes=3, images=6, shape=(1, 4, 4), seed=2)
    wrong = (y + 1) % 3
    target = Target(Defence(model), samples=range(6))
    adversarial = QUICK[name]("L2", 0.5)(target, x, wrong, context=attack_context(range(6)))
    assert torch.equal(adversarial, x)
    assert (target.counts.forwards, target.counts.backwards) == (6, 0)


@pytest.mark.parametrize("name", QUICK)
@pytest.mark.parametrize("noise", [0.0, 0.2])
def test_empty_batches(name: str, noise: float) -> None:
    model, x, y = linear_problem(classes=3, images=2, shape=(1, 4, 4), seed=2)
    assert run(QUICK[name]("L2", 0.5), Defence(model, AddNoise(noise)), x[:0], y[:0], samples=[]).shape == (0, 1, 4, 4)


@pytest.mark.parametrize("name", ["apgd-ce", "apgd-dlr", "apgd-t", "fab-t", "square", "autoattack"])
def test_wanted_classes_are_reached(name: str) -> None:
    model, x, y = linear_problem(classes=4, images=6, shape=(3, 4, 4), seed=3)
    wanted = (y + 2) % 4
    attack = {**QUICK, **GRADIENT, "square": lambda norm, eps: square.Square(norm, eps, queries=400)}[name]("L2", 2.0)
    adversarial = run(attack, Defence(model), x, y, targets=wanted)
    assert (model(adversarial).argmax(1) == wanted).all()


def test_square_breaks_what_is_easy_and_not_what_is_impossible() -> None:
    for norm, dual in (("Linf", 1), ("L2", 2)):
        model, x, y = linear_problem(classes=3, images=8, shape=(3, 6, 6), seed=4)
        exact = model.distances(x, y, dual=dual)
        near = run(square.Square(norm, 4 * float(exact.max()), queries=500), Defence(model), x, y)
        assert (model(near).argmax(1) != y).all()
        far = run(square.Square(norm, 0.99 * float(exact.min()), queries=100), Defence(model), x, y)
        assert (model(far).argmax(1) == y).all()


def test_work_stops_on_broken_images() -> None:
    model, x, y = linear_problem(classes=3, images=8, shape=(3, 4, 4), seed=5)
    target = Target(Defence(model), samples=range(8))
    apgd_ce.ApgdCe("L2", 3.0, iterations=100)(target, x, y, context=attack_context(range(8)))
    assert target.counts.backwards < 8 * 10


@pytest.mark.parametrize("attack", [apgd_t.ApgdT("L2", 0.2, iterations=20), fab_t.FabT("L2", 0.2, iterations=10)])
def test_the_likeliest_class_may_be_far_and_the_next_one_near(attack: apgd_t.ApgdT | fab_t.FabT) -> None:
    # At mid-grey z = (0, −0.05, −1); class 1 needs a step of 0.5 in pixel 0, class 2 one of 0.1 in pixel 1.
    weight = torch.zeros(3, 16)
    weight[1, 0], weight[2, 1] = 0.1, 10
    model = LinearClassifier(weight, torch.tensor([0.0, -0.1, -6.0]))
    x, y = torch.full((1, 1, 4, 4), 0.5), torch.tensor([0])
    for count, expected in ((1, 0), (2, 2)):
        adversarial = run(dataclasses.replace(attack, classes=count), Defence(model), x, y)
        assert model(adversarial).argmax(1).item() == expected


@dataclasses.dataclass(frozen=True)
class Needle:
    """Wrong only within ``radius`` of one point inside the ball."""

    centre: torch.Tensor
    radius: float
    classes: int = 2

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        near = self.radius**2 - (images - self.centre).flatten(1).square().sum(1)
        return torch.stack([torch.zeros_like(near), near], 1)


@pytest.mark.parametrize(
    "attack", [apgd_ce.ApgdCe("L2", 1.0, iterations=60), apgd_dlr.ApgdDlr("Linf", 0.2, iterations=60)]
)
def test_steps_shrink_until_a_small_region_inside_the_ball_is_hit(attack: apgd_ce.ApgdCe) -> None:
    x = torch.full((8, 3, 4, 4), 0.5)
    direction = torch.randn(3, 4, 4, generator=torch.Generator().manual_seed(0)).sign()
    model = Needle(0.5 + 0.4 * attack.eps * direction / (48**0.5 if attack.norm == "L2" else 1), 0.05 * attack.eps)
    adversarial = run(attack, Defence(model), x, torch.zeros(8, dtype=torch.long))
    assert (model(adversarial).argmax(1) == 1).all()


@pytest.mark.parametrize(
    ("classes", "sequence"),
    [
        (2, ("apgd-ce", "apgd-dlr", "fab-t", "square")),
        (3, ("apgd-ce", "apgd-dlr", "apgd-t", "fab-t", "square")),
        (4, ("apgd-ce", "apgd-t", "fab-t", "square")),
    ],
)
def test_sequence_of_autoattack(classes: int, sequence: tuple[str, ...]) -> None:
    assert autoattack.AutoAttack().sequence(classes) == sequence


def test_autoattack_reports_what_stands_and_skips_the_rest() -> None:
    model, x, y = linear_problem(classes=3, images=4, shape=(1, 4, 4), seed=7)
    messages: list[str] = []
    target = Target(Defence(model), samples=range(4))
    context = attack_context(range(4), progress=messages.append)
    autoattack.AutoAttack("L2", 5.0, iterations=20, queries=20)(target, x, y, context=context)
    assert messages[0] == "apgd-ce: 4 of 4 images stand"
    assert len(messages) == 2 and " 0 of 4 " in messages[1]


CONFIGS = [
    (apgd_ce.ApgdCeConfig, apgd_ce.build),
    (apgd_dlr.ApgdDlrConfig, apgd_dlr.build),
    (apgd_t.ApgdTConfig, apgd_t.build),
    (fab_t.FabTConfig, fab_t.build),
    (square.SquareConfig, square.build),
    (autoattack.AutoAttackConfig, autoattack.build),
]


@pytest.mark.parametrize(("config", "build"), CONFIGS)
def test_configurations(config: type, build: Callable[..., Attack]) -> None:
    attack = build(config(norm="Linf", eps=0.1))
    assert (attack.info.norm, attack.info.eps, attack.info.minimum_classes) == ("Linf", 0.1, 2)
    for preset in ("demo", "standard", "rigorous"):
        assert build(config(**config.BUDGETS[preset])).info.eps == 1.0
    for wrong in ({"eps": -1}, {"eps": float("nan")}, {"norm": "L1"}, {"nosuch": 1}, {"restarts": 0}):
        with pytest.raises(ValidationError):
            config(**wrong)


def test_eot_gradient_is_the_mean_of_the_draws_gradients_in_one_pass_and_in_two() -> None:
    model, x, y = linear_problem(classes=3, images=3, shape=(1, 4, 4), seed=8)
    defence = Defence(model, AddNoise(0.5))
    _, one, _ = Target(defence, samples=range(3), memory=1000).gradient(x, cross_entropy, y, draws=6)
    _, two, _ = Target(defence, samples=range(3), memory=4).gradient(x, cross_entropy, y, draws=6)
    single = Target(defence, samples=range(3))
    mean = torch.stack([single.gradient(x, cross_entropy, y, draws=1)[1] for _ in range(6)]).mean(0)
    close(one, mean)
    close(two, mean)
