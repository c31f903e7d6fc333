"""Attacks on random defences: every start and step has noise of its own, and what is compared is what should be."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import pytest
import torch
from golden_classifier import attack_context, classifier, run, stored
from test_latent_attacks import defended, grey, latents_of, never
from torch import Tensor

from mlvgm.noise import Keys
from mlvgm.protocols.attack import Attack
from mlvgm_robust.attacks.apgd_t import ApgdT
from mlvgm_robust.attacks.autoattack import AutoAttack
from mlvgm_robust.attacks.carlini_wagner import CarliniWagner
from mlvgm_robust.attacks.geometry import random_start
from mlvgm_robust.attacks.incumbents import Incumbents
from mlvgm_robust.attacks.latent_drift import LatentDrift
from mlvgm_robust.attacks.latent_target import LatentTarget, Samples
from mlvgm_robust.attacks.latents import KeptLatents
from mlvgm_robust.attacks.pgd import Pgd
from mlvgm_robust.attacks.rivals import likeliest_rivals
from mlvgm_robust.attacks.square import Square, _mean_margin
from mlvgm_robust.evaluation.defence import Defence
from mlvgm_robust.evaluation.target import Success
from mlvgm_robust.purifiers.noise import AddNoise
from tolerance import close


def noisy(norm: float) -> Defence:
    return Defence(classifier(), AddNoise(norm))


def _watched(monkeypatch: pytest.MonkeyPatch, *modules: str) -> list[tuple[str, str]]:
    """The streams that random starts of those attacks are drawn from, in order."""
    streams: list[tuple[str, str]] = []

    def start(images: Tensor, *, keys: Keys, name: str, **options: Any) -> Tensor:
        streams.append((keys.purpose, name))
        return random_start(images, keys=keys, name=name, **options)

    for module in modules:
        monkeypatch.setattr(f"mlvgm_robust.attacks.{module}.random_start", start)
    return streams


@pytest.mark.parametrize(
    ("attack", "module", "starts"),
    [
        (Pgd("L2", 1e-6, iterations=1, restarts=3), "pgd", 3),
        (ApgdT("L2", 1e-6, iterations=1, restarts=2, classes=2), "apgd", 4),
        (CarliniWagner(iterations=1, searches=3, noise=1e-6, bisections=0), "carlini_wagner", 3),
    ],
    ids=["pgd", "apgd-t", "carlini-wagner"],
)
def test_every_start_is_drawn_from_a_stream_of_its_own(
    attack: Attack, module: str, starts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    io, _ = stored()
    streams = _watched(monkeypatch, module)
    run(attack, noisy(1.0), io["x"][:4], io["y"][:4], selection=2)
    assert len(streams) == len(set(streams)) == starts


def test_parts_of_autoattack_start_from_streams_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    io, _ = stored()
    streams = _watched(monkeypatch, "apgd")
    attack = AutoAttack("L2", 1e-6, iterations=1, classes=1, parts=("apgd-ce", "apgd-dlr"))
    run(attack, noisy(1.0), io["x"][:4], io["y"][:4], selection=2)
    assert len(streams) == len(set(streams)) == 2


class Scripted:
    """A random target of two classes whose margins are given, one row of draws for each pass."""

    stochastic = True

    def __init__(self, *passes: list[float]) -> None:
        self.passes = list(passes)

    def __getitem__(self, rows: Tensor) -> Scripted:
        return self

    def __call__(self, images: Tensor, draws: int) -> Tensor:
        margins = torch.tensor([self.passes.pop(0)]).double()
        assert margins.shape[1] == draws
        return torch.stack([torch.zeros_like(margins), margins], 2)

    def success(self, images: Tensor, *given: Tensor, **options: Any) -> Success:
        return Success(torch.zeros(len(images)).double(), torch.zeros(len(images), dtype=torch.bool))


def _held(target: Any, *, eot: int) -> Incumbents:
    image, none = torch.zeros(1, 1, 4, 4), torch.zeros(1, dtype=torch.bool)
    context = dataclasses.replace(attack_context(range(1)), eot=eot)
    return Incumbents(target, torch.tensor([0]), None, context, image, none.double(), none)


def test_the_error_of_a_mean_margin_falls_with_the_root_of_the_draws() -> None:
    """Four draws of standard deviation √(20/3) about 3."""
    held = _held(Scripted([0.0, 2.0, 4.0, 6.0]), eot=4)
    mean, error = _mean_margin(held, held.images, torch.tensor([0]))
    assert mean.item() == pytest.approx(3) and error.item() == pytest.approx((20 / 3) ** 0.5 / 2)


def test_the_mark_to_beat_is_the_mean_over_the_draws_of_the_current_point_alone() -> None:
    """A move starts the mean anew: at (1 + 3) / 2 after the next query, which 1.5 does not beat and 2.5 does."""

    class Counted(Square):
        points: ClassVar[list[float]] = []

        def _propose(self, images: Tensor, point: Tensor, numbers: Tensor, query: int) -> Tensor:
            self.points.append(round(float(point.max()), 2))
            return point + 0.01

    # Of each query: the current point, then the proposal.
    held = _held(Scripted([0.0], [-1.0], [0.0], [1.0], [3.0], [1.5], [2.0], [2.5], [0.0], [0.0]), eot=1)
    Counted("Linf", 0.1, queries=5)._search_scores(held, torch.tensor([0]), held.images, held.images, held.context.keys)
    assert Counted.points == [0.0, 0.0, 0.01, 0.01, 0.02]


def test_rivals_of_a_random_defence_are_chosen_over_all_draws() -> None:
    """Of three draws the first alone would choose class 1, the mean chooses class 2."""

    class Drawn:
        stochastic, classes = True, 3
        defence = Defence(classifier())

        def __getitem__(self, rows: Tensor) -> Drawn:
            return self

        def __call__(self, images: Tensor, draws: int) -> Tensor:
            return torch.tensor([[[0.0, 1.0, 0.5], [0.0, 0.0, 2.0], [0.0, 0.0, 2.0]]])[:, :draws]

    held = _held(Drawn(), eot=3)
    assert likeliest_rivals(held, held.images, count=2).tolist() == [[2, 1]]


def test_for_a_wanted_class_success_is_that_class() -> None:
    asked: list[Any] = []

    class Asked(Scripted):
        def success(self, images: Tensor, *given: Tensor, targets: Any = None, **options: Any) -> Success:
            asked.append(targets)
            return super().success(images)

    held = dataclasses.replace(_held(Asked(), eot=1), targets=torch.tensor([2]))
    held.estimate(held.images, torch.tensor([0]))
    assert asked[0].tolist() == [2]


@pytest.mark.parametrize("attack", [LatentDrift("L2", 0.1, iterations=3), LatentTarget("L2", 0.1, iterations=3)])
def test_no_two_steps_see_the_same_image_noise(attack: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    _, defence = defended(never(), noise_norm=0.1)
    seen: list[Any] = []
    gradient = KeptLatents.gradient

    def watched(self: KeptLatents, images: Tensor, goal: Tensor, keys: Keys) -> tuple[Tensor, Tensor]:
        seen.extend((keys.purpose, row) for row in keys.rows)
        return gradient(self, images, goal, keys)

    monkeypatch.setattr(KeptLatents, "gradient", watched)
    kept = Samples(torch.ones(2, 4), torch.tensor([1, 2]))
    monkeypatch.setattr(LatentTarget, "_generate", lambda *given: kept)
    run(attack, defence, grey(2), torch.zeros(2).long(), selection=2)
    assert len(seen) == len(set(seen)) == 2 * 6  # two images, two restarts or rivals


def test_draws_of_one_step_are_none_of_the_next() -> None:
    _, defence = defended(never(), noise_norm=0.2)
    kept, x = latents_of(defence, 1, draws=4), grey(1)
    one, next_one = (kept(x, Keys.of(seed=0, purpose="p", samples=[0], draws=[draw])) for draw in (0, 1))
    assert torch.cdist(one, next_one).min() > 1e-4


def test_each_start_of_drift_is_drawn_from_a_stream_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    names: list[str] = []

    def start(images: Tensor, *, name: str, **options: Any) -> Tensor:
        names.append(name)
        return random_start(images, name=name, **options)

    monkeypatch.setattr("mlvgm_robust.attacks.latent_drift.random_start", start)
    run(LatentDrift("L2", 0.1, iterations=1, restarts=3), defended(never())[1], grey(2), torch.zeros(2).long())
    assert len(names) == len(set(names)) == 3


def test_the_iterate_with_the_largest_loss_competes_with_the_last() -> None:
    class Peaked:
        """A random target on which the second of three iterates has the largest loss."""

        stochastic = True
        values = iter([1.0, 5.0, 2.0])
        met: ClassVar[list[Tensor]] = []
        offered: ClassVar[list[Tensor]] = []

        def __getitem__(self, rows: Tensor) -> Peaked:
            return self

        def gradient(self, images: Tensor, *given: Any, draws: int) -> tuple[Tensor, Tensor, Tensor]:
            self.met.append(images)
            return torch.tensor([next(self.values)]), torch.ones_like(images), torch.zeros(1, draws, 2)

        def success(self, images: Tensor, *given: Any, **options: Any) -> Success:
            self.offered.append(images)
            return Success(torch.zeros(1).double(), torch.zeros(1, dtype=torch.bool))

    target: Any = Peaked()
    image = torch.full((1, 1, 2, 2), 0.2)
    attack = Pgd("L2", 1.0, iterations=3, step=0.1, random_start=False)
    attack(target, image, torch.tensor([0]), context=attack_context(range(1)))
    start, last, best = Peaked.offered
    close(start, image)
    close(last, image + 0.15)
    assert torch.equal(best, Peaked.met[1])
