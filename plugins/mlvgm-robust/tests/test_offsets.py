"""What no decision depends on: a number added to all logits, and, but for cross-entropy's underflow, their scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import pytest
import torch
from golden_classifier import classifier, run, stored
from hypothesis import given, settings
from hypothesis import strategies as st
from linear_models import LinearClassifier, linear_generator, linear_problem
from torch import Tensor

from mlvgm.protocols.attack import Attack
from mlvgm_robust.attacks.apgd_ce import ApgdCe
from mlvgm_robust.attacks.apgd_dlr import ApgdDlr
from mlvgm_robust.attacks.apgd_t import ApgdT
from mlvgm_robust.attacks.autoattack import AutoAttack
from mlvgm_robust.attacks.carlini_wagner import CarliniWagner
from mlvgm_robust.attacks.deepfool import DeepFool
from mlvgm_robust.attacks.fab_t import FabT
from mlvgm_robust.attacks.fgsm import Fgsm
from mlvgm_robust.attacks.fmn import Fmn
from mlvgm_robust.attacks.geometry import distance
from mlvgm_robust.attacks.latent_drift import LatentDrift
from mlvgm_robust.attacks.latent_target import LatentTarget
from mlvgm_robust.attacks.losses import cross_entropy, difference, dlr, margin, targeted_dlr, targeted_margin
from mlvgm_robust.attacks.pgd import Pgd
from mlvgm_robust.attacks.square import Square
from mlvgm_robust.evaluation.defence import Defence
from mlvgm_robust.evaluation.harness import run_attack
from mlvgm_robust.published.autoattack import PublishedAutoAttack, published_dlr
from mlvgm_robust.published.carlini_wagner import PublishedCarliniWagner
from mlvgm_robust.published.deepfool import PublishedDeepFool
from mlvgm_robust.purifiers.mlvgm import MlvgmPurifier
from tolerance import GRADIENT, close


@dataclass(frozen=True)
class Moved:
    """Logits ``scale`` · z + ``offset``: the same decisions."""

    model: Any
    scale: float
    offset: float

    @property
    def classes(self) -> int:
        return int(self.model.classes)

    def to(self, device: torch.device | str) -> Self:
        return self

    def __call__(self, images: Tensor) -> Tensor:
        return self.scale * self.model(images) + self.offset


EPS = 0.02  # about the median distance of the images below
BALL: dict[str, Attack] = {
    "fgsm": Fgsm("L2", EPS),
    "pgd": Pgd("L2", EPS, iterations=20),
    "apgd-ce": ApgdCe("L2", EPS, iterations=20),
    "apgd-dlr": ApgdDlr("L2", EPS, iterations=20),
    "apgd-t": ApgdT("L2", EPS, iterations=20),
    "fab-t": FabT("L2", EPS, iterations=10),
    "autoattack": AutoAttack("L2", EPS, iterations=10, queries=20),
}
NEAREST: dict[str, Attack] = {
    "deepfool": DeepFool(),
    "deepfool-linf": DeepFool("Linf"),
    "fmn": Fmn(iterations=60),
    "fmn-linf": Fmn("Linf", iterations=60),
    "carlini-wagner": CarliniWagner(iterations=60, searches=5),
    "published-deepfool": PublishedDeepFool(classes=5),
    "published-autoattack": PublishedAutoAttack(iterations=4, fab_iterations=20),
}


def problem(images: int) -> tuple[LinearClassifier, Tensor, Tensor, Tensor]:
    """A linear classifier, images no nearer to a boundary than 0.005, their classes and their exact distances.

    A place of a logit of 1000 is 6e-5. Where logits are scaled by 0.25, that is a distance of 2e-5: gradients of
    differences have norms around 12.
    """
    model, x, _ = linear_problem(classes=5, images=2 * images, shape=(3, 5, 5), seed=5)
    y = model(x).argmax(1)
    far = (model.distances(x, y, dual=2.0) > 0.005).nonzero().squeeze(1)[:images]
    return model, x[far], y[far], model.distances(x[far], y[far], dual=2.0)


@pytest.mark.parametrize("name", BALL)
@settings(max_examples=4, deadline=None, derandomize=True)
@given(scale=st.sampled_from([0.25, 1.0, 8.0]), offset=st.floats(-1000, 1000))
def test_in_a_ball_the_images_break_that_break_without(name: str, scale: float, offset: float) -> None:
    model, x, y, exact = problem(images=16)
    decided = (exact - EPS).abs() > 0.001
    plain, moved = (
        run_attack(Defence(Moved(model, scale, by)), BALL[name], x, y).robust.right[decided] for by in (0.0, offset)
    )
    assert torch.equal(plain, moved)
    assert moved[exact[decided] > EPS].all() and not moved.all()
    if name not in ("fgsm", "pgd", "apgd-ce"):  # cross-entropy looks at all classes, the more the smaller logits are
        assert not moved[exact[decided] < EPS].any()


@pytest.mark.parametrize("name", NEAREST)
@settings(max_examples=4, deadline=None, derandomize=True)
@given(scale=st.sampled_from([0.25, 1.0, 8.0]), offset=st.floats(-1000, 1000))
def test_distances_stay_the_exact_ones(name: str, scale: float, offset: float) -> None:
    attack = NEAREST[name]
    model, x, y, _ = problem(images=8)
    exact = model.distances(x, y, dual=1.0 if attack.info.norm == "Linf" else 2.0)
    adversarial = run(attack, Defence(Moved(model, scale, offset)), x, y)
    assert (model(adversarial).argmax(1) != y).all()
    close = 1.1 if "published" in name else 1.02  # FAB goes 1.05 times as far, DeepFool's first step 1.02 and 1e-4
    assert (distance(adversarial - x, attack.info.norm) <= close * exact + 1e-4).all()


@settings(max_examples=4, deadline=None, derandomize=True)
@given(offset=st.floats(-2000, 2000))
def test_the_published_carlini_and_wagner_does_not_see_an_offset(offset: float) -> None:
    model, x, y = linear_problem(classes=3, images=8, shape=(3, 5, 5), seed=3)
    attack = PublishedCarliniWagner(
        c=1.0, kappa=0.05, steps=100, rate=1e-3, restarts=2, window=16, start=0.1, noise=0.01
    )
    plain, moved = (distance(run(attack, Defence(Moved(model, 1.0, by)), x, y) - x, "L2") for by in (0.0, offset))
    assert ((plain > 0) == (moved > 0)).double().mean() > 0.8  # a success may be lost at the last step
    both = (plain > 0) & (moved > 0)
    assert (plain[both] / moved[both] - 1).abs().max() < 0.02


@pytest.mark.parametrize("offset", [-1000.0, 1000.0])
def test_square_and_latent_attacks_do_not_see_an_offset(offset: float) -> None:
    model, x, y = linear_problem(classes=5, images=16, shape=(3, 4, 4), seed=5)
    generator = linear_generator()
    cases: list[tuple[Attack, Any]] = [
        (Square("L2", 1.0, queries=60), None),
        (LatentDrift("L2", 0.3, iterations=10, restarts=1), MlvgmPurifier(generator, (0.0, 0.0, 0.0))),
        (LatentTarget("L2", 0.3, iterations=10, classes=2, samples=64), MlvgmPurifier(generator, (0.0, 0.0, 0.0))),
    ]
    for attack, purifier in cases:
        plain, moved = (
            run_attack(Defence(Moved(model, 1.0, by), purifier), attack, x, y).robust.right for by in (0.0, offset)
        )
        assert int((plain != moved).sum()) <= 1
        assert not plain.all()


@settings(max_examples=20, deadline=None, derandomize=True)
@given(offset=st.floats(-1000, 1000), seed=st.integers(0, 100))
def test_losses_do_not_see_an_offset_and_ratios_no_scale(offset: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(6, 5, generator=generator, dtype=torch.double)
    labels, targets = torch.tensor([0, 1, 2, 3, 4, 0]), torch.tensor([1, 2, 3, 4, 0, 4])
    for loss in (cross_entropy, margin, targeted_margin, dlr, published_dlr):
        close(loss(logits + offset, labels), loss(logits, labels), depth=GRADIENT, scale=1000)
    for pair in (difference, targeted_dlr):
        close(pair(logits + offset, labels, targets), pair(logits, labels, targets), depth=GRADIENT, scale=1000)
    for ratio in (dlr, published_dlr):
        smaller, plain = ratio(0.01 * logits, labels), ratio(logits, labels)
        assert (smaller - plain).abs().max() < 1e-7 * plain.abs().max()  # the epsilon of the denominator
    larger, plain = targeted_dlr(100 * logits, labels, targets), targeted_dlr(logits, labels, targets)
    assert (larger - plain).abs().max() < 1e-7 * plain.abs().max()


@pytest.mark.parametrize("attack", [DeepFool(), Fmn(iterations=60), CarliniWagner(iterations=60, searches=4)])
def test_small_logits_far_from_zero_break_as_those_of_other_libraries(attack: Attack) -> None:
    foolbox = pytest.importorskip("foolbox")
    io, _ = stored()
    x, y, moved = io["x"][:16], io["y"][:16], Moved(classifier(), 0.01, 1000.0)
    net = torch.nn.Identity()
    net.forward = lambda images: moved(images)  # type: ignore[method-assign]
    model = foolbox.PyTorchModel(net.eval(), bounds=(0, 1), device="cpu")
    _, theirs, success = foolbox.attacks.L2DeepFoolAttack(steps=50)(model, x, y, epsilons=None)
    assert success.all()
    adversarial = run(attack, Defence(moved), x, y)
    assert (moved(adversarial).argmax(1) != y).all()
    assert (distance(adversarial - x, "L2") / distance(theirs - x, "L2")).median() <= 1
