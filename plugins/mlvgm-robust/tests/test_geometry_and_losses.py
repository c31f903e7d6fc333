"""Projections and losses against slow formulas, closed forms and the golden gradients."""

from __future__ import annotations

import pytest
import torch
from golden_classifier import classifier, stored
from hypothesis import given, settings
from hypothesis import strategies as st

from mlvgm.noise import Keys
from mlvgm_robust.attacks import losses
from mlvgm_robust.attacks.apgd import checkpoints
from mlvgm_robust.attacks.geometry import distance, project, random_start, steepest
from mlvgm_robust.attacks.hyperplane import to_hyperplane
from tolerance import GRADIENT, close


def slow_step(x: list[float], w: list[float], value: float, *, norm: str) -> list[float]:
    """Bisection on how far every coordinate goes."""
    direction = [-(value > 0) * (c > 0) + (value > 0) * (c < 0) + (value < 0) * ((c > 0) - (c < 0)) for c in w]
    room = [(1 - p if d > 0 else p) if d else 0.0 for p, d in zip(x, direction, strict=True)]
    speed = [1.0 if norm == "Linf" else abs(c) for c in w]

    def moved(tau: float) -> list[float]:
        return [min(tau * s, r) for s, r in zip(speed, room, strict=True)]

    low, high = 0.0, 1e6
    for _ in range(200):
        middle = (low + high) / 2
        reached = sum(abs(c) * m for c, m in zip(w, moved(middle), strict=True))
        low, high = (middle, high) if reached < abs(value) else (low, middle)
    return [d * m for d, m in zip(direction, moved(high), strict=True)]


finite = st.floats(-3, 3, width=32).filter(lambda v: v == 0 or abs(v) > 1e-2)


@settings(max_examples=80, deadline=None)
@given(data=st.data(), size=st.integers(1, 6), norm=st.sampled_from(["Linf", "L2"]))
def test_hyperplane_step_is_the_bisection_s(data: st.DataObject, size: int, norm: str) -> None:
    x = data.draw(st.lists(st.floats(0, 1, width=16), min_size=size, max_size=size))
    w = data.draw(st.lists(finite, min_size=size, max_size=size))
    value = data.draw(finite)
    step = to_hyperplane(torch.tensor([x]), torch.tensor([w]), torch.tensor([value]), norm=norm)[0]
    reachable = sum(abs(c) * max(0, (1 - p) if -value * c > 0 else p) for p, c in zip(x, w, strict=True))
    expected = slow_step(x, w, value, norm=norm)
    if reachable > abs(value) * 1.001:  # at the edge of feasibility both are right within rounding
        assert step.tolist() == pytest.approx(expected, abs=1e-4, rel=1e-3)
        assert float((torch.tensor(w) * step).sum()) + value == pytest.approx(0, abs=1e-3)
    assert ((torch.tensor(x) + step) >= -1e-6).all() and ((torch.tensor(x) + step) <= 1 + 1e-6).all()


def test_hyperplane_step_is_the_textbook_one_where_the_box_is_far() -> None:
    x, w = torch.full((2, 5), 0.5), torch.tensor([[1.0, -2, 0, 3, 1], [0.5, 0.5, 0.5, 0.5, 0]])
    value = torch.tensor([0.2, -0.3])
    l2 = -value[:, None] * w / w.square().sum(1, keepdim=True)
    linf = -value[:, None] * w.sign() / w.abs().sum(1, keepdim=True)
    close(to_hyperplane(x, w, value, norm="L2"), l2)
    close(to_hyperplane(x, w, value, norm="Linf"), linf)


def test_an_unreachable_plane_gives_the_corner_nearest_to_it() -> None:
    step = to_hyperplane(torch.tensor([[0.25, 0.5]]), torch.tensor([[1.0, -1.0]]), torch.tensor([10.0]), norm="L2")
    close(step, torch.tensor([[-0.25, 0.5]]))


@settings(max_examples=40, deadline=None)
@given(
    norm=st.sampled_from(["Linf", "L2"]),
    eps=st.sampled_from([0.0, 1e-6, 0.03, 0.7, 3.0]),
    shape=st.tuples(st.integers(1, 3), st.integers(1, 6), st.integers(1, 6)),
)
def test_projection_and_start_stay_inside(norm: str, eps: float, shape: tuple[int, int, int]) -> None:
    x = torch.rand(3, *shape, generator=torch.Generator().manual_seed(0))
    keys = Keys.of(seed=0, purpose="t", samples=range(3))
    for point in (
        project(x + torch.randn_like(x), x, norm=norm, eps=eps),
        random_start(x, norm=norm, eps=eps, keys=keys, name="s"),
    ):
        assert (distance(point - x, norm) <= eps + 1e-6).all()
        assert point.min() >= 0 and point.max() <= 1


@pytest.mark.parametrize("norm", ["Linf", "L2"])
def test_starts_lie_on_the_sphere_and_follow_the_sample(norm: str) -> None:
    x = torch.full((4, 3, 5, 5), 0.5)
    keys = Keys.of(seed=0, purpose="t", samples=[3, 1, 4, 2])
    start = random_start(x, norm=norm, eps=0.1, keys=keys, name="s")
    close(distance(start - x, norm), torch.full((4,), 0.1))
    close(random_start(x[:2], norm=norm, eps=0.1, keys=keys[[3, 0]], name="s"), start[[3, 0]])


def test_steepest_direction_of_a_zero_gradient_is_zero() -> None:
    for norm in ("Linf", "L2"):
        assert (steepest(torch.zeros(2, 1, 3, 3), norm) == 0).all()


def test_checkpoints_of_the_paper() -> None:
    assert checkpoints(100) == (22, 41, 57, 70, 80, 87, 93, 99)
    assert all(0 < point < 7 for point in checkpoints(7))
    assert checkpoints(1) == ()


def test_cross_entropy_gradient_is_the_stored_one() -> None:
    io, _ = stored()
    x = io["x"].clone().requires_grad_(True)
    logits = classifier()(x)
    close(logits, io["logits"])
    (gradient,) = torch.autograd.grad(losses.cross_entropy(logits, io["y"]).sum(), x)
    close(gradient, io["ce_grad_x"], depth=GRADIENT)


def test_ratios_by_hand() -> None:
    z, y = torch.tensor([[5.0, 1.0, 3.0, 2.0, -1.0]]), torch.tensor([0])
    assert losses.dlr(z, y).item() == pytest.approx(-(5 - 3) / (5 - 2))
    assert losses.dlr(z, torch.tensor([2])).item() == pytest.approx(-(3 - 5) / (5 - 2))
    assert losses.targeted_dlr(z, y, torch.tensor([1])).item() == pytest.approx(-(5 - 1) / (5 - (2 + 1) / 2))
    assert losses.margin(z, y).item() == -2 and losses.margin(z, torch.tensor([2])).item() == 2
    assert losses.targeted_margin(z, torch.tensor([0])).item() == 2
    close(losses.dlr(100 * z, y), losses.dlr(z, y))


@settings(max_examples=40, deadline=None)
@given(classes=st.integers(2, 6), seed=st.integers(0, 1000))
def test_losses_are_above_zero_exactly_where_the_prediction_is_wrong(classes: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(16, classes, generator=generator)
    y = torch.randint(classes, (16,), generator=generator)
    wrong = z.argmax(1) != y
    for loss in (losses.margin, losses.dlr):
        assert ((loss(z, y) > 0) == wrong).all()
        assert loss(z, y).isfinite().all()
    targets = (y + 1) % classes
    assert (
        (losses.targeted_dlr(z, y, targets) > 0) == (z.gather(1, targets[:, None]) > z.gather(1, y[:, None]))[:, 0]
    ).all()
