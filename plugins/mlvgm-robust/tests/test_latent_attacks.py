"""Attacks on kept latents: closed forms on a linear-Gaussian generator, defences they provably break, their limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from golden_classifier import attack_context, run
from linear_models import LinearClassifier, LinearGenerator, linear_generator
from torch import Tensor

from mlvgm.errors import ConfigError, InputError
from mlvgm.noise import Keys
from mlvgm_robust.attacks.apgd_ce import ApgdCe
from mlvgm_robust.attacks.latent_drift import LatentDrift
from mlvgm_robust.attacks.latent_target import LatentTarget, Samples
from mlvgm_robust.attacks.latents import KeptLatents
from mlvgm_robust.evaluation.admissible import check_attackable, perturbation_norm
from mlvgm_robust.evaluation.defence import Defence
from mlvgm_robust.evaluation.harness import Protocol, run_attack
from mlvgm_robust.evaluation.target import Target
from mlvgm_robust.purifiers.mlvgm import MlvgmPurifier
from mlvgm_robust.purifiers.noise import AddNoise
from tolerance import close

KEPT = (0.0, 1.0, 1.0)  # of the blocks of 4, 8 and 36 coordinates only the first survives


def coordinates(generator: LinearGenerator, images: Tensor) -> Tensor:
    return (images.flatten(1) - 0.5) @ generator.basis


def grey(count: int, *, spread: float = 0.02) -> Tensor:
    return 0.5 + spread * torch.randn(count, 3, 4, 4, generator=torch.Generator().manual_seed(1))


@dataclass(frozen=True)
class Step:
    """Class 1 where the kept coordinates are far along a direction, or from a centre; its logits have no gradient."""

    generator: LinearGenerator
    direction: Tensor | None = None
    bound: float = 0.0
    centre: Tensor | float = 0.0
    classes: int = 2

    def to(self, device: torch.device | str) -> Step:
        return self

    def __call__(self, images: Tensor) -> Tensor:
        kept = coordinates(self.generator, images)[:, :4]
        score = (kept - self.centre).norm(dim=1) if self.direction is None else kept @ self.direction
        above = (score > self.bound).to(images.dtype)
        return torch.stack([1 - above, above], 1) + 0 * images.sum((1, 2, 3))[:, None]


def never(classes: int = 3) -> LinearClassifier:
    """Always class 0."""
    return LinearClassifier(torch.zeros(classes, 48), torch.tensor([1.0] + [0.0] * (classes - 1)))


def defended(classifier: Any, alphas: tuple[float, ...] = KEPT, **options: Any) -> tuple[LinearGenerator, Defence]:
    generator = linear_generator()
    return generator, Defence(classifier, MlvgmPurifier(generator, alphas, **options))


def latents_of(defence: Defence, count: int, *, draws: int = 1) -> KeptLatents:
    return KeptLatents.of(Target(defence, samples=range(count)), attack_context(range(count), eot=draws), name="latent")


def test_kept_latents_are_the_kept_coordinates_and_their_gradient_is_exact() -> None:
    generator, defence = defended(never(), (0.25, 0.5, 1.0))
    x, goal, keys = grey(3), torch.randn(3, 12), Keys.of(seed=0, purpose="p", samples=range(3))
    kept = latents_of(defence, 3)
    expected = coordinates(generator, x)[:, :12] * torch.tensor([0.75] * 4 + [0.5] * 8)
    close(kept.mean(x, keys), expected)
    value, gradient = kept.gradient(x, goal, keys)
    close(value, (expected - goal).square().sum(1))
    weighted = 2 * (expected - goal) * torch.tensor([0.75] * 4 + [0.5] * 8)
    close(gradient.flatten(1), weighted @ generator.basis[:, :12].T)
    assert kept.target.counts.forwards == 6 and kept.target.counts.backwards == 3


def test_image_noise_is_averaged_over_draws_of_its_own() -> None:
    generator, defence = defended(never(), noise_norm=0.2)
    x, keys = grey(2), Keys.of(seed=0, purpose="p", samples=range(2))
    kept = latents_of(defence, 2, draws=400)
    assert kept(x, keys).shape == (800, 4)
    # Each of 48 coordinates has noise of variance 0.2²/48; the mean of 400 is within five errors.
    error = (kept.mean(x, keys) - coordinates(generator, x)[:, :4]).abs().max()
    assert 0 < error < 5 * 0.2 / (48 * 400) ** 0.5


@pytest.mark.parametrize("seed", [0, 1])
def test_drift_puts_all_it_has_into_what_is_kept(seed: int) -> None:
    # Everything beyond half the radius in the kept block is misclassified and nothing else is, so where the attack wins
    # at 0.99 of the radius, at least 0.98 of its energy is in that block.
    generator, _ = defended(never())
    eps, x = 0.3, torch.full((4, 3, 4, 4), 0.5)
    labels = torch.zeros(4, dtype=torch.long)
    for share, breaks in ((0.98, True), (1.001, False)):
        _, defence = defended(Step(generator, bound=share**0.5 * eps))
        found = run(LatentDrift("L2", eps, iterations=60, restarts=1), defence, x, labels, seed=seed, selection=2)
        moved = coordinates(generator, found)
        assert ((moved[:, :4].square().sum(1) > share * eps**2) == breaks).all()
        assert perturbation_norm(found, x, "L2").max() <= eps + 1e-6


def test_drift_breaks_a_defence_whose_gradients_are_useless() -> None:
    generator, _ = defended(never())
    _, defence = defended(Step(generator, bound=0.2))
    x, labels = grey(6, spread=0.005), torch.zeros(6, dtype=torch.long)
    protocol = Protocol(eot=1, selection=2)
    drift = run_attack(defence, LatentDrift("L2", 0.3, iterations=40), x, labels, protocol=protocol)
    blind = run_attack(defence, ApgdCe("L2", 0.3, iterations=40), x, labels, protocol=protocol)
    assert drift.clean.right.all() and blind.robust.right.all()
    assert not drift.robust.right.any() and not drift.violations.any()


def test_target_breaks_a_defence_where_a_rival_is_in_reach() -> None:
    direction = torch.tensor([1.0, 0.0, 0.0, 0.0])
    generator, _ = defended(never())
    _, defence = defended(Step(generator, direction, bound=0.1))
    x, labels = grey(6, spread=0.005), torch.zeros(6, dtype=torch.long)
    # Standard deviation 0.1 in each of four coordinates: a sixth of the samples are of class 1, the nearest of which
    # is at most 0.3 away. Where the latents are matched, so is the decision.
    protocol = Protocol(eot=1, selection=2)
    result = run_attack(defence, LatentTarget("L2", 0.3, iterations=60), x, labels, protocol=protocol)
    assert result.clean.right.all() and not result.robust.right.any() and not result.violations.any()
    # Out of reach nothing is broken: the first coordinate cannot pass the bound.
    short = run_attack(defence, LatentTarget("L2", 0.05, iterations=60), x, labels, protocol=protocol)
    assert short.robust.right.all()


def test_goals_are_the_nearest_samples_of_each_rival_class() -> None:
    samples = Samples(torch.tensor([[0.0], [1.0], [2.0], [5.0]]), torch.tensor([0, 1, 1, 2]))
    kept, labels = torch.tensor([[0.1], [4.0]]), torch.tensor([0, 2])
    found, exists = samples.rivals(kept, labels, None, classes=4)
    assert found[exists].tolist() == [1, 3, 2, 0] and exists.sum(1).tolist() == [2, 2]
    found, exists = samples.rivals(kept, labels, torch.tensor([2, 3]), classes=4)
    assert exists.sum(1).tolist() == [1, 0] and found[0, 0] == 3


def test_without_rivals_images_are_left_alone_and_it_is_said() -> None:
    _, defence = defended(never())
    x, messages = grey(3), list[str]()
    found = run(LatentTarget(iterations=2), defence, x, torch.zeros(3).long(), selection=2, progress=messages.append)
    assert torch.equal(found, x)
    assert messages == ["latent-target: 3 of 3 images have no rival among the samples"]


@pytest.mark.parametrize("norm", ["L2", "Linf"])
@pytest.mark.parametrize("kind", [LatentTarget, LatentDrift])
@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_ball_box_and_independence_of_batch_mates(kind: Any, norm: Any, noise: float) -> None:
    generator, _ = defended(never())
    x = grey(5, spread=0.005)
    x[:, 0, 0, 0], x[:, 0, 0, 1], x[:, 1, 2] = 0.0, 1.0, 0.99  # at the faces of the box
    centre = coordinates(generator, x)[:, :4].mean(0)
    _, defence = defended(Step(generator, bound=0.08, centre=centre), (0.0, 0.5, 1.0), noise_norm=noise)
    labels = torch.zeros(5, dtype=torch.long)
    attack = kind(norm, 0.2 if norm == "L2" else 0.03, iterations=6)
    found = run(attack, defence, x, labels, samples=range(10, 15), eot=3, selection=8)
    assert found.min() >= 0 and found.max() <= 1 and not torch.equal(found, x)
    assert perturbation_norm(found, x, norm).max() <= attack.eps + 1e-6
    for rows in ([4, 1], [2]):
        alone = run(attack, defence, x[rows], labels[rows], samples=[10 + row for row in rows], eot=3, selection=8)
        close(alone, found[rows])
    limited = run(attack, defence, x, labels, samples=range(10, 15), eot=3, selection=8, memory=2)
    close(limited, found)


@pytest.mark.parametrize("attack", [LatentTarget(eps=0.0, iterations=3), LatentDrift(eps=0.0, iterations=3)])
def test_null_control_changes_nothing(attack: Any) -> None:
    generator, _ = defended(never())
    _, defence = defended(Step(generator, torch.ones(4), bound=0.1))
    x = grey(4)
    assert torch.equal(run(attack, defence, x, torch.zeros(4).long(), selection=2), x)


@pytest.mark.parametrize("attack", [LatentTarget(iterations=2), LatentDrift(iterations=2)])
def test_what_they_need_is_said_before_and_during(attack: Any) -> None:
    x, labels = grey(2), torch.zeros(2).long()
    for purifier in (None, AddNoise(0.1)):
        with pytest.raises(ConfigError, match="needs a purifier with a generator"):
            check_attackable(Defence(never(), purifier), attack.info)
        with pytest.raises(ConfigError, match="needs a purifier with a generator"):
            run(attack, Defence(never(), purifier), x, labels)
    _, defence = defended(never())
    with pytest.raises(ConfigError, match="exact gradient"):
        check_attackable(defence, attack.info, gradient="bpda")
    with pytest.raises(ConfigError, match="exact gradient"):
        target = Target(defence, samples=range(2), gradient="bpda")
        attack(target, x, labels, context=attack_context(range(2)))
    with pytest.raises(ConfigError, match="keeps no latent"):
        run(attack, defended(never(), (1.0, 1.0, 1.0))[1], x, labels)


def test_drift_cannot_aim_and_target_can() -> None:
    generator, _ = defended(never())
    _, defence = defended(Step(generator, torch.tensor([1.0, 0.0, 0.0, 0.0]), bound=0.1))
    x, wanted = grey(3, spread=0.005), torch.ones(3, dtype=torch.long)
    with pytest.raises(InputError, match="latent-target"):
        run(LatentDrift(iterations=2), defence, x, 1 - wanted, targets=wanted)
    found = run(LatentTarget("L2", 0.3, iterations=40), defence, x, 1 - wanted, targets=wanted, selection=2)
    assert (defence(found).argmax(1) == wanted).all()
