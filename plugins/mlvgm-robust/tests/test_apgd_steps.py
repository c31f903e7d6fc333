"""APGD's step: when it is halved, and the loss that is drawn again so that luck does not stay the bar."""

from __future__ import annotations

import pytest
import torch
from golden_classifier import run
from linear_models import linear_problem
from torch import Tensor

from mlvgm_robust.attacks import apgd
from mlvgm_robust.attacks.apgd import Ascent, checkpoints, halve_stalled
from mlvgm_robust.attacks.apgd_ce import ApgdCe
from mlvgm_robust.attacks.fab_t import FabT
from mlvgm_robust.attacks.geometry import distance, inwards
from mlvgm_robust.attacks.incumbents import Incumbents
from mlvgm_robust.evaluation.defence import Defence
from mlvgm_robust.purifiers.noise import AddNoise


def climber(losses: list[float]) -> Ascent:
    """One image that has gone from loss to loss."""
    image = torch.zeros(1, 1, 1, 1)
    state = Ascent.of(torch.tensor([0]), image, image, image, torch.tensor([losses[0]]), eps=1.0)
    state.halved = torch.tensor([False])
    for loss in losses[1:]:
        state.move(image + loss, image, torch.tensor([loss]))
    return state


@pytest.mark.parametrize(
    ("losses", "before", "halved", "expected"),
    [
        ([0.0, 1.0, 2.0, 3.0, 4.0], 0.0, False, False),  # rises at every step
        ([0.0, 1.0, 2.0, 3.0, 2.5], 0.0, False, False),  # three of four are enough
        ([0.0, 1.0, 2.0, 1.5, 1.0], 0.0, False, True),  # two of four are not
        ([0.0, 1.0, 2.0, 3.0, 4.0], 4.0, False, True),  # the best of the last checkpoint is not passed
        ([0.0, 1.0, 2.0, 3.0, 4.0], 4.0, True, False),  # but the step was halved there
    ],
)
def test_when_the_step_is_halved(losses: list[float], before: float, halved: bool, expected: bool) -> None:
    state = climber(losses)
    state.checked_loss, state.halved = torch.tensor([before]), torch.tensor([halved])
    halve_stalled(state, len(losses) - 1)
    assert float(state.step) == (1.0 if expected else 2.0)
    assert bool(state.halved) is expected
    assert float(state.image) == (max(losses) if expected else losses[-1])
    assert float(state.increases) == 0


def test_spans_are_between_checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    spans: list[int] = []
    monkeypatch.setattr(apgd, "halve_stalled", lambda state, span: spans.append(span))
    model, x, y = linear_problem(classes=3, images=2, shape=(1, 4, 4), seed=1)
    run(ApgdCe("L2", 1e-4, iterations=50), Defence(model), x, y)
    points = checkpoints(50)
    assert spans == [b - a for a, b in zip((0, *points), points, strict=False)]


def test_the_best_loss_is_drawn_again_after_it_was_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind noise no loss stays for good that one draw has made large."""
    bars: list[Tensor] = []
    offered: list[Tensor] = []
    offer, halve = apgd._offer_best, apgd.halve_stalled

    def watch_offer(incumbents: Incumbents, state: Ascent) -> Ascent:
        offered.append(state.best_loss.clone())
        return offer(incumbents, state)

    def watch_halve(state: Ascent, span: int) -> None:
        bars.append(state.best_loss.clone())
        halve(state, span)

    monkeypatch.setattr(apgd, "_offer_best", watch_offer)
    monkeypatch.setattr(apgd, "halve_stalled", watch_halve)
    model, x, y = linear_problem(classes=3, images=8, shape=(1, 4, 4), seed=1)
    run(ApgdCe("L2", 1e-4, iterations=20), Defence(model, AddNoise(0.05)), x, y, eot=2, selection=8)
    assert len(offered) >= 2
    rows = min(len(offered[0]), *(len(bar) for bar in bars))
    assert rows > 0
    # A maximum never falls; a maximum that is drawn again does for about half of the images.
    falls = any((bar[:rows] < offered[0][:rows]).any() for bar in bars)
    assert falls


@pytest.mark.parametrize("norm", ["Linf", "L2"])
def test_fab_hands_over_nothing_beyond_the_radius(norm: str) -> None:
    """What it finds 0.5 % beyond the radius, the harness would refuse: that is no candidate."""
    model, x, y = linear_problem(classes=3, images=8, shape=(3, 4, 4), seed=2)
    wide = run(FabT(norm, 1.0, iterations=10), Defence(model), x, y)  # type: ignore[arg-type]
    length = distance(wide - x, norm)  # type: ignore[arg-type]
    for i in range(len(x)):
        for share, moves in ((0.995, False), (1.001, True)):
            attack = FabT(norm, share * float(length[i]), iterations=10)  # type: ignore[arg-type]
            found = run(attack, Defence(model), x[[i]], y[[i]])
            assert torch.equal(found, x[[i]]) is not moves


def test_only_what_points_out_of_the_box_is_dropped() -> None:
    points, gradient = torch.tensor([[0.0, 0.0, 0.5, 1.0, 1.0]]), torch.tensor([[-1.0, 1.0, -1.0, -1.0, 1.0]])
    assert inwards(gradient, points).tolist() == [[0.0, 1.0, -1.0, -1.0, 0.0]]
