"""Minimal-norm attacks: exact distances on linear classifiers, the box, wanted classes, random defences."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from golden_classifier import attack_context, classifier, fresh_accuracy, run, stored
from linear_models import LinearClassifier, linear_problem
from pydantic import ValidationError
from torch import Tensor

from mlvgm.errors import ConfigError
from mlvgm.protocols.attack import Attack
from mlvgm_robust.adam import Adam
from mlvgm_robust.attacks import carlini_wagner, deepfool, fmn
from mlvgm_robust.attacks.carlini_wagner import CarliniWagner
from mlvgm_robust.attacks.deepfool import DeepFool
from mlvgm_robust.attacks.fmn import Fmn
from mlvgm_robust.attacks.geometry import distance
from mlvgm_robust.attacks.gradients import gradients
from mlvgm_robust.attacks.losses import difference
from mlvgm_robust.evaluation.defence import Defence
from mlvgm_robust.evaluation.harness import Protocol, run_attack
from mlvgm_robust.evaluation.target import Target
from mlvgm_robust.purifiers.noise import AddNoise
from tolerance import GRADIENT, close

DUAL = {"Linf": 1.0, "L2": 2.0, "L1": math.inf}
ATTACKS: dict[str, Attack] = {
    "deepfool-l2": DeepFool("L2"),
    "deepfool-linf": DeepFool("Linf"),
    "deepfool-l1": DeepFool("L1"),
    "carlini-wagner": CarliniWagner(),
    "fmn-l2": Fmn("L2"),
    "fmn-linf": Fmn("Linf"),
    "fmn-l1": Fmn("L1"),
}
# The largest distance, in exact ones. C&W's penalty stops a little beyond the boundary, which bisection takes back.
CLOSE = {"deepfool": 1.003, "carlini-wagner": 1.01, "fmn": 1.003}
QUICK: dict[str, Attack] = {
    "deepfool": DeepFool("L2", iterations=8, classes=3),
    "deepfool-linf": DeepFool("Linf", iterations=8, classes=3),
    "carlini-wagner": CarliniWagner(iterations=8, searches=2, classes=3),
    "fmn-linf": Fmn("Linf", iterations=10, restarts=1, classes=3),
}


@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("name", ATTACKS)
def test_distances_on_linear_classifiers_are_exact(name: str, classes: int) -> None:
    attack = ATTACKS[name]
    model, x, y = linear_problem(classes=classes, images=12, shape=(3, 5, 5), seed=classes)
    exact = model.distances(x, y, dual=DUAL[attack.info.norm])
    adversarial = run(attack, Defence(model), x, y)
    assert (model(adversarial).argmax(1) != y).all()
    ratio = distance(adversarial - x, attack.info.norm) / exact
    assert ratio.min() > 0.9999
    assert ratio.max() < CLOSE[attack.info.name]


def nearest_in_box(model: LinearClassifier, image: Tensor, label: int, norm: str) -> float:
    """Distance to the boundary of two classes inside the box, by bisection on the multiplier of the gap."""
    w = (model.weight[1 - label] - model.weight[label]).double()
    gap = float(model(image[None])[0, label] - model(image[None])[0, 1 - label])
    room = torch.where(w > 0, 1 - image.flatten(), image.flatten()).double()
    if norm == "L1":  # the steepest pixels first, each as far as it goes
        total, left = 0.0, gap
        for i in w.abs().argsort(descending=True).tolist():
            step = min(float(room[i]), left / float(w[i].abs()))
            total, left = total + step, left - step * float(w[i].abs())
        return total
    low, high = 0.0, 1e4
    for _ in range(100):
        middle = (low + high) / 2
        step = torch.minimum(middle * (w.abs() if norm == "L2" else torch.ones_like(w)), room)
        low, high = (middle, high) if float((step * w.abs()).sum()) < gap else (low, middle)
    return float(step.norm(p=2 if norm == "L2" else math.inf))


@pytest.mark.parametrize("seed", [7, 8])
@pytest.mark.parametrize("name", ATTACKS)
def test_distances_are_those_inside_the_box(name: str, seed: int) -> None:
    attack = ATTACKS[name]
    model, x, _ = linear_problem(classes=2, images=8, shape=(1, 5, 5), seed=seed)
    x = (10 * (x - 0.5) + 0.5).clamp(0, 1)  # many pixels on the box's faces
    y = model(x).argmax(1)
    exact = torch.tensor([nearest_in_box(model, x[i], int(y[i]), attack.info.norm) for i in range(len(x))])
    adversarial = run(attack, Defence(model), x, y)
    assert adversarial.min() >= 0 and adversarial.max() <= 1
    assert (model(adversarial).argmax(1) != y).all()
    ratio = distance(adversarial - x, attack.info.norm) / exact
    assert ratio.min() > 0.9999
    assert ratio.max() < CLOSE[attack.info.name] + 0.001


@pytest.mark.parametrize("name", ATTACKS)
def test_wanted_classes_are_reached(name: str) -> None:
    model, x, y = linear_problem(classes=4, images=6, shape=(3, 4, 4), seed=3)
    wanted = (y + 2) % 4
    adversarial = run(ATTACKS[name], Defence(model), x, y, targets=wanted)
    assert (model(adversarial).argmax(1) == wanted).all()


@pytest.mark.parametrize("name", QUICK)
def test_misclassified_images_come_back_as_they_are_and_cost_nothing_more(name: str) -> None:
    model, x, y = linear_problem(classes=3, images=6, shape=(1, 4, 4), seed=2)
    target = Target(Defence(model), samples=range(6))
    adversarial = QUICK[name](target, x, (y + 1) % 3, context=attack_context(range(6)))
    assert torch.equal(adversarial, x)
    assert (target.counts.forwards, target.counts.backwards) == (6, 0)


@pytest.mark.parametrize("name", QUICK)
@pytest.mark.parametrize("noise", [0.0, 0.2])
def test_empty_batches(name: str, noise: float) -> None:
    model, x, y = linear_problem(classes=3, images=2, shape=(1, 4, 4), seed=2)
    assert run(QUICK[name], Defence(model, AddNoise(noise)), x[:0], y[:0], samples=[]).shape == (0, 1, 4, 4)


@pytest.mark.parametrize("name", QUICK)
@pytest.mark.parametrize("noise", [0.0, 3.0])
def test_result_of_an_image_does_not_depend_on_its_batch(name: str, noise: float) -> None:
    io, _ = stored()
    x, y, defence = io["x"][:5], io["y"][:5], Defence(classifier(), AddNoise(noise))
    samples, state = [10, 3, 7, 5, 21], torch.random.get_rng_state()
    whole = run(QUICK[name], defence, x, y, samples=samples, eot=2, selection=16)
    order = [4, 1]
    some = run(QUICK[name], defence, x[order], y[order], samples=[samples[i] for i in order], eot=2, selection=16)
    close(some, whole[order], depth=GRADIENT)
    alone = run(QUICK[name], defence, x[[2]], y[[2]], samples=[7], eot=2, selection=16, memory=3)
    close(alone, whole[[2]], depth=GRADIENT)
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize(
    "attack", [DeepFool(), CarliniWagner(iterations=15, searches=3), Fmn(iterations=30, restarts=1)]
)
@pytest.mark.parametrize("votes", [1, 8])
def test_random_defences_err_on_fresh_noise_at_what_is_found(attack: Attack, votes: int) -> None:
    io, _ = stored()
    x, y = io["x"], io["y"]
    defence = Defence(classifier(), AddNoise(2.0), votes=votes)
    keep = fresh_accuracy(defence, x, y) > 0.9
    x, y = x[keep], y[keep]
    adversarial = run(attack, defence, x, y, eot=8, selection=32)
    moved = distance(adversarial - x, "L2") > 0
    right = fresh_accuracy(defence, adversarial, y)[moved]
    assert moved.double().mean() > 0.9
    assert right.mean() < 0.5  # a nearest success of single draws would be right far more often than not
    assert (right < 0.65).double().mean() > 0.85
    # It stops at the boundary all the same, and does not push on to where all draws err.
    assert right.mean() > 0.1


def test_the_likeliest_class_may_be_far_and_the_next_one_near() -> None:
    # At mid-grey z = (0, −0.05, −1); class 1 needs a step of 0.25 in pixel 0, class 2 one of 0.1 in pixel 1.
    weight = torch.zeros(3, 16)
    weight[1, 0], weight[2, 1] = 0.2, 10
    model = LinearClassifier(weight, torch.tensor([0.0, -0.15, -6.0]))
    x, y = torch.full((1, 1, 4, 4), 0.5), torch.tensor([0])
    for classes, length in ((1, 0.25), (2, 0.1)):
        for attack in (DeepFool(classes=classes), CarliniWagner(classes=classes), Fmn(classes=classes)):
            adversarial = run(attack, Defence(model), x, y)
            assert distance(adversarial - x, "L2").item() == pytest.approx(length, rel=1e-2)


def test_an_early_end_costs_no_distance_and_saves_passes() -> None:
    model, x, y = linear_problem(classes=3, images=12, shape=(3, 5, 5), seed=3)
    attack, backwards, length = CarliniWagner(c=1e-4, iterations=100, searches=10), {}, {}
    for early in (False, True):
        target = Target(Defence(model), samples=range(len(x)))
        tried = dataclasses.replace(attack, early_abort=early)
        length[early] = distance(tried(target, x, y, context=attack_context(range(len(x)))) - x, "L2")
        backwards[early] = target.counts.backwards
    assert (length[True] / length[False]).max() < CLOSE["carlini-wagner"]
    assert backwards[True] < 0.95 * backwards[False]


def test_from_the_image_alone_carlini_and_wagner_find_the_exact_distance() -> None:
    model, x, y = linear_problem(classes=2, images=12, shape=(3, 5, 5), seed=2)
    exact = model.distances(x, y, dual=2)
    # One run with c a little above the exact weight 2 d / ‖w‖: the minimum is the nearest point of the boundary.
    slope = (model.weight[1] - model.weight[0]).norm()
    for i in range(4):
        attack = CarliniWagner(c=2.2 * float(exact[i] / slope), searches=1, iterations=150)
        length = distance(run(attack, Defence(model), x[[i]], y[[i]]) - x[[i]], "L2")
        assert length.item() == pytest.approx(float(exact[i]), rel=1e-2)


def test_kappa_is_the_margin_of_what_is_found() -> None:
    model, x, y = linear_problem(classes=2, images=6, shape=(1, 5, 5), seed=4)
    adversarial = run(CarliniWagner(kappa=1.0), Defence(model), x, y)
    logits = model(adversarial)
    lead = logits.gather(1, 1 - y[:, None]) - logits.gather(1, y[:, None])
    assert lead.min() > 0.999 and lead.max() < 1.1
    slope = (model.weight[1] - model.weight[0]).norm()
    exact = model.distances(x, y, dual=2) + 1 / slope
    assert (distance(adversarial - x, "L2") / exact).max() < 1.01


def test_a_first_c_far_off_is_mended_by_the_search() -> None:
    model, x, y = linear_problem(classes=2, images=4, shape=(1, 5, 5), seed=5)
    exact = model.distances(x, y, dual=2)
    for c in (1e-4, 10.0):
        ratio = distance(run(CarliniWagner(c=c, searches=14), Defence(model), x, y) - x, "L2") / exact
        assert ratio.max() < 1.02


@dataclasses.dataclass(frozen=True)
class Lucky:
    """Wrong on a quarter of all draws at mid-grey, and hardly more often anywhere in the box."""

    classes: int = 2

    def __call__(self, images: Tensor) -> Tensor:
        lead = images[:, 0, 0, 0] - 0.65 + 0.01 * torch.tanh(images.flatten(1)[:, 1:].mean(1) - 0.5)
        return torch.stack([torch.zeros_like(lead), lead], 1)


@dataclasses.dataclass(frozen=True)
class Shake(AddNoise):
    """Noise of spread 0.22 on a first pixel that no attack can move."""

    def purify(self, images: Tensor, noise: Any) -> Tensor:
        fixed = images.clone()
        fixed[:, :, 0, 0] = 0.5
        return super().purify(fixed, noise)


@pytest.mark.parametrize("attack", [DeepFool(), CarliniWagner(iterations=8, searches=2), Fmn(iterations=12)])
def test_what_is_right_more_often_than_wrong_is_no_success(attack: Attack) -> None:
    defence = Defence(Lucky(), Shake(0.9))
    x, y = torch.full((40, 1, 4, 4), 0.5), torch.zeros(40, dtype=torch.long)
    assert 0.65 < fresh_accuracy(defence, x, y).mean() < 0.85
    adversarial = run(attack, defence, x, y, eot=4, selection=32)
    # Single draws err in every run, yet no image of the box errs half the time: all come back as they were.
    assert torch.equal(adversarial, x)


def test_without_the_box_the_bisection_leaves_it_too() -> None:
    model, x, _ = linear_problem(classes=3, images=6, shape=(1, 5, 5), seed=3)
    x = x.round()
    y = model(x).argmax(1)
    exact = model.distances(x, y, dual=2)  # which do not know the box either
    for bisections in (0, 12):
        adversarial = run(DeepFool(clip=False, bisections=bisections), Defence(model), x, y)
        ratio = distance(adversarial - x, "L2") / exact
        assert ratio.min() > 0.9999 and ratio.max() < (1.025 if bisections == 0 else 1.0005)
        assert ((adversarial < 0) | (adversarial > 1)).any()
    with pytest.raises(ConfigError, match="clip"):
        deepfool.DeepFoolConfig(norm="L1", clip=False)


def test_the_harness_takes_them_and_refuses_images_outside_the_box() -> None:
    model, x, y = linear_problem(classes=3, images=6, shape=(1, 5, 5), seed=3)
    attacked = run_attack(Defence(model), DeepFool(), x, y, protocol=Protocol())
    assert not attacked.robust.right.any() and not attacked.violations.any()
    exact = model.distances(x, y, dual=2).double()
    assert (attacked.norm / exact - 1).abs().max() < 3e-3
    x = x.round()
    y = model(x).argmax(1)
    attacked = run_attack(Defence(model), DeepFool(clip=False, bisections=0), x, y, protocol=Protocol())
    assert attacked.violations.all() and attacked.robust.right.all()


def test_adam_is_torch_s_and_images_can_leave() -> None:
    generator = torch.Generator().manual_seed(0)
    goal = torch.randn(4, 3, generator=generator)
    theirs = torch.zeros(4, 3, requires_grad=True)
    optimiser = torch.optim.Adam([theirs], lr=0.1)
    ours = torch.zeros(4, 3)
    adam = Adam.of(ours, rate=0.1)
    for _ in range(10):
        optimiser.zero_grad()
        (theirs - goal).pow(4).sum().backward()
        optimiser.step()
        ours, adam = adam.step(ours, 4 * (ours - goal) ** 3)
    close(ours, theirs.detach())
    moved, _ = adam[torch.tensor([2, 0])].step(ours[[2, 0]], goal[[2, 0]])
    close(moved, adam.step(ours, goal)[0][[2, 0]])


@pytest.mark.parametrize("votes", [1, 4])
@pytest.mark.parametrize("memory", [1000, 12, 4])
def test_many_gradients_are_those_of_one_after_another(votes: int, memory: int) -> None:
    io, _ = stored()
    x, y, defence = io["x"][:3], io["y"][:3], Defence(classifier(), AddNoise(2.0), votes=votes, rule="probabilities")

    def losses(logits: Tensor, labels: Tensor) -> Tensor:
        return torch.stack([difference(logits, labels, (labels + i) % 10) for i in (1, 2)], 1)

    target = Target(defence, samples=range(3), memory=memory)
    values, slopes, logits = gradients(target, x, losses, y, draws=6)
    assert logits.shape == (3, 6, 10)
    first = Target(defence, samples=range(3), memory=1000)
    value, slope, _ = first.gradient(x, difference, y, (y + 1) % 10, draws=6)
    close(values[:, 0], value)
    close(slopes[:, 0], slope, depth=GRADIENT)
    if memory < 6:  # its draws are repeated for each loss, so the second has noise of its own
        value, slope, _ = first.gradient(x, difference, y, (y + 2) % 10, draws=6)
    else:
        value, slope, _ = Target(defence, samples=range(3)).gradient(x, difference, y, (y + 2) % 10, draws=6)
    close(values[:, 1], value)
    close(slopes[:, 1], slope, depth=GRADIENT)
    assert target.counts.backwards == 2 * 3 * 6


@pytest.mark.parametrize(
    ("config", "build"),
    [
        (deepfool.DeepFoolConfig, deepfool.build),
        (carlini_wagner.CarliniWagnerConfig, carlini_wagner.build),
        (fmn.FmnConfig, fmn.build),
    ],
)
def test_configurations(config: type, build: Callable[..., Attack]) -> None:
    for preset in ("demo", "standard", "rigorous"):
        attack = build(config(**config.BUDGETS[preset]))
        assert (attack.info.norm, attack.info.eps) == ("L2", None)
    assert build(config()) == dataclasses.replace(build(config()))
    for wrong in ({"eps": 1.0}, {"iterations": 0}, {"norm": "L3"}, {"bisections": -1}):
        with pytest.raises(ValidationError):
            config(**wrong)
    assert type(build(config()))() == build(config())  # one set of defaults
