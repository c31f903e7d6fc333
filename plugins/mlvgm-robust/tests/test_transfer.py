"""BPDA breaks what only hides its gradients; transfer finds what BPDA cannot see, and is named as what it is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

import pytest
import torch
from linear_models import LinearClassifier, linear_problem
from torch import Tensor

from mlvgm.errors import ConfigError, PluginError
from mlvgm.noise import Keys
from mlvgm.plugins.load import build, component, config_class
from mlvgm.protocols.attack import AttackContext
from mlvgm_robust.attacks.apgd_ce import ApgdCe
from mlvgm_robust.attacks.autoattack import AutoAttack
from mlvgm_robust.attacks.transfer import Transfer
from mlvgm_robust.evaluation.defence import Defence
from mlvgm_robust.evaluation.harness import Protocol, run_attack
from mlvgm_robust.evaluation.target import Target
from mlvgm_robust.purifiers.none import Identity
from tolerance import close


@dataclass(frozen=True)
class Rounding(Identity):
    """Rounds to 32 levels: its derivative is 0 almost everywhere. ``differentiable`` says True if told to lie."""

    def purify(self, images: Tensor, noise: Any) -> Tensor:
        return super().purify((images * 32).round() / 32, noise)


def problem(shape: tuple[int, int, int] = (1, 6, 6)) -> tuple[LinearClassifier, Tensor, Tensor, float]:
    """A linear classifier, images, labels, and twice the Linf radius that breaks all of them."""
    model, images, labels = linear_problem(classes=3, images=12, shape=shape, seed=0)
    return model, images, labels, 2 * float(model.distances(images, labels, dual=1).max())


def context(rows: int) -> AttackContext:
    return AttackContext(keys=Keys.of(seed=0, purpose="attacker", samples=range(rows)))


@pytest.mark.parametrize("attack", [ApgdCe, AutoAttack])
def test_bpda_breaks_a_purifier_that_only_hides_its_gradient(attack: Any) -> None:
    model, images, labels, eps = problem()
    options = {"iterations": 10} | ({"parts": ("apgd-ce", "apgd-dlr")} if attack is AutoAttack else {})
    honest, lying = (Defence(model, Rounding(differentiable=value)) for value in (False, True))
    broken = run_attack(honest, attack("Linf", eps, **options), images, labels)
    fooled = run_attack(lying, attack("Linf", eps, **options), images, labels)
    forced = run_attack(lying, attack("Linf", eps, **options), images, labels, protocol=Protocol(gradient="bpda"))
    assert broken.paths == ("bpda", "transfer") and fooled.paths == ("exact",) and forced.paths == ("bpda",)
    assert not broken.robust.right.any() and not forced.robust.right.any()
    assert fooled.robust.right.double().mean() > 0.6  # robust only in looks
    assert broken.forwards > forced.forwards  # the passes of both ways are counted


@dataclass(frozen=True)
class Snapping(Identity):
    """Images left of the origin's plane pass; all others become one image, at which ``Hinge`` is flat."""

    differentiable: bool = False

    def purify(self, images: Tensor, noise: Any) -> Tensor:
        near = images.flatten(1).mean(1) > 0.47
        snapped = torch.where(near[:, None, None, None], torch.ones_like(images), images)
        return super().purify(snapped, noise)


@dataclass(frozen=True)
class Hinge:
    """Two classes: is the mean pixel above one half? The gap is flat above 0.9."""

    classes: int = 2

    def to(self, device: torch.device | str) -> Self:
        return self

    def __call__(self, images: Tensor) -> Tensor:
        gap = 20 * images.flatten(1).mean(1).clamp(max=0.9) - 10
        return torch.stack([-gap, gap], 1)


def test_transfer_finds_what_bpda_cannot_see_and_stopping_at_success_would_miss() -> None:
    """The bare classifier errs below 0.5, the defence only below 0.47."""
    defence, attack = Defence(Hinge(), Snapping()), ApgdCe("Linf", 0.15, iterations=10)
    images, labels = torch.full((4, 1, 4, 4), 0.6), torch.ones(4, dtype=torch.long)
    target = Target(defence, samples=range(4))
    alone = attack(target, images, labels, context=context(4))
    assert (target(alone, draws=1).squeeze(1).argmax(1) == labels).all()
    stopped = attack(target.undefended(), images, labels, context=context(4))
    gone_on = Transfer(attack)(target, images, labels, context=context(4))
    assert (Hinge()(stopped).argmax(1) != labels).all() and (Hinge()(gone_on).argmax(1) != labels).all()
    assert (Hinge()(gone_on)[:, 1] <= Hinge()(stopped)[:, 1]).all()
    close(gone_on, images - 0.15)  # the largest loss in the ball
    assert not run_attack(defence, attack, images, labels).robust.right.any()
    assert not run_attack(defence, Transfer(attack), images, labels).robust.right.any()


def test_going_on_starts_from_misclassified_images_too() -> None:
    images, labels = torch.full((2, 1, 4, 4), 0.48), torch.ones(2, dtype=torch.long)
    target = Target(Defence(Hinge(), Snapping()), samples=range(2))
    found = Transfer(ApgdCe("Linf", 0.1, iterations=5))(target, images, labels, context=context(2))
    close(found, images - 0.1)


def test_transfer_is_the_inner_attack_under_another_name() -> None:
    model, images, labels, eps = problem()
    attack = build("attacks", "transfer:apgd-ce", {"norm": "Linf", "eps": eps, "budget": "demo"})
    assert attack.attack == ApgdCe("Linf", eps, iterations=20, restarts=1)
    info = attack.info
    assert (info.name, info.norm, info.eps, info.access) == ("transfer:apgd-ce", "Linf", eps, "classifier")
    assert build("attacks", "transfer", {"options": {"iterations": 3}}).attack == ApgdCe(iterations=3)
    attacked = run_attack(Defence(model, Rounding(differentiable=False)), attack, images, labels)
    assert attacked.paths == ("transfer",) and not attacked.robust.right.any()
    assert component("attacks", "transfer").component.capabilities["access"] == "classifier"


def test_any_batch_gives_the_same_transfer() -> None:
    model, images, labels, eps = problem()
    target = Target(Defence(model, Rounding(differentiable=False)), samples=range(12))
    attack, rows = Transfer(ApgdCe("L2", eps, iterations=5, restarts=2)), torch.tensor([7, 2])
    whole = attack(target, images, labels, context=context(12))
    part = attack(target[rows], images[rows], labels[rows], context=context(12)[rows])
    close(part, whole[rows])
    aimed = replace(context(12), stop_at_success=False)
    assert torch.isfinite(
        ApgdCe("L2", eps, iterations=2)(target, images, labels, targets=2 - labels, context=aimed)
    ).all()


@pytest.mark.parametrize("name", ["deepfool", "carlini-wagner", "fmn"])
def test_minimal_norm_attacks_transfer_without_a_radius(name: str) -> None:
    model, images, labels, _ = problem()
    attack = build("attacks", f"transfer:{name}", {"budget": "demo"})
    assert (attack.info.norm, attack.info.eps, attack.info.access) == ("L2", None, "classifier")
    attacked = run_attack(Defence(model), attack, images, labels)
    assert not attacked.robust.right.any()
    exact = model.distances(images, labels, dual=2).double()
    assert (attacked.norm / exact).max() < 1.05
    config = config_class(component("attacks", f"transfer:{name}"))(attack=name)
    assert (config.norm, config.eps) == ("L2", None)


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"attack": "deepfool", "eps": 0.5}, ConfigError, "takes no eps"),
        ({"attack": "carlini-wagner", "norm": "Linf"}, ConfigError, "attack.norm"),
        ({"attack": "nosuch"}, PluginError, "unknown attack 'nosuch'"),
        ({"attack": "transfer:apgd-ce"}, ConfigError, "a transfer already"),
        ({"options": {"nosuch": 1}}, ConfigError, "attack.nosuch: unknown option"),
        ({"eps": -1}, ConfigError, "attack.eps"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        build("attacks", "transfer", options)
