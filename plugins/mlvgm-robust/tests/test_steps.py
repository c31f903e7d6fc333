"""FGSM and PGD: closed forms on linear classifiers, the L1 ball, random defences."""

from __future__ import annotations

import pytest
import torch
from golden_classifier import attack_context, classifier, fresh_accuracy, run, stored
from hypothesis import given, settings
from hypothesis import strategies as st
from linear_models import linear_problem
from pydantic import ValidationError

from mlvgm_robust.attacks import fgsm, pgd
from mlvgm_robust.attacks.fgsm import Fgsm
from mlvgm_robust.attacks.geometry import distance, project, random_start, steepest
from mlvgm_robust.attacks.pgd import Pgd
from mlvgm_robust.evaluation.admissible import check_candidates
from mlvgm_robust.evaluation.defence import Defence
from mlvgm_robust.evaluation.harness import Protocol, run_attack
from mlvgm_robust.evaluation.target import Target
from mlvgm_robust.purifiers.noise import AddNoise
from tolerance import GRADIENT, LAYER, close

NORMS = ("Linf", "L2", "L1")


@pytest.mark.parametrize(("norm", "dual"), [("Linf", 1), ("L2", 2)])
@pytest.mark.parametrize("kind", [Fgsm, Pgd])
def test_two_classes_break_exactly_beyond_their_distance(kind: type, norm: str, dual: float) -> None:
    model, x, y = linear_problem(classes=2, images=12, shape=(3, 5, 5), seed=2)
    exact = model.distances(x, y, dual=dual)
    for factor, broken in ((0.98, False), (1.03, True)):
        for index in (0, 5):
            attack = kind(norm, factor * float(exact[index]))
            adversarial = run(attack, Defence(model), x[[index]], y[[index]])
            assert bool((model(adversarial).argmax(1) != y[index]).item()) is broken


def test_fgsm_by_hand() -> None:
    model, x, y = linear_problem(classes=2, images=3, shape=(1, 3, 3), seed=4)
    w = (model.weight[1 - y] - model.weight[y]).reshape_as(x)
    for attack, step in (
        (Fgsm("Linf", 0.1), 0.1 * w.sign()),
        (Fgsm("L2", 0.1), 0.1 * w / w.flatten(1).norm(dim=1)[:, None, None, None]),
        (Fgsm("L2", 0.1, direction="sign"), 0.1 * w.sign() / 3),
    ):
        close(run(attack, Defence(model), x, y), x + step)
        # Aimed at the class the image is not, it steps the same way.
        close(run(attack, Defence(model), x, y, targets=1 - y), x + step)


@settings(max_examples=60, deadline=None)
@given(
    size=st.integers(1, 12),
    eps=st.sampled_from([0.0, 1e-4, 0.3, 1.0, 50.0]),
    scale=st.sampled_from([0.1, 1.0, 5.0]),
    seed=st.integers(0, 10_000),
)
def test_projection_onto_the_l1_ball_in_the_box_is_the_nearest_point(
    size: int, eps: float, scale: float, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = (2 * torch.rand(1, 1, 1, size, generator=generator) - 0.5).clamp(0, 1)
    point = x + scale * torch.randn(x.shape, generator=generator)
    found = project(point, x, norm="L1", eps=eps)
    assert found.min() >= 0 and found.max() <= 1
    assert float((found - x).abs().sum()) <= eps + 1e-5
    delta, room = (point - x).double(), torch.where(point > x, 1 - x, x).double()
    low, high = 0.0, float(delta.abs().max())  # slow: bisection on the multiplier of the ball
    for _ in range(100):
        middle = (low + high) / 2
        norm = float((delta.abs() - middle).clamp_min(0).minimum(room).sum())
        low, high = (middle, high) if norm > eps else (low, middle)
    shrink = 0.0 if float(delta.abs().minimum(room).sum()) <= eps else high
    expected = x + (delta.abs() - shrink).clamp_min(0).minimum(room) * delta.sign()
    close(found, expected.float(), depth=LAYER)
    # Every image may have its own radius.
    both = project(torch.cat([point, point]), torch.cat([x, x]), norm="L1", eps=torch.tensor([eps, 0.0]))
    close(both, torch.cat([found, x]), depth=LAYER)


@pytest.mark.parametrize("norm", NORMS)
def test_directions_and_starts_have_norm_one(norm: str) -> None:
    gradient = torch.randn(4, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    close(distance(steepest(gradient, norm), norm), torch.ones(4))
    assert (steepest(torch.zeros(2, 1, 3, 3), norm) == 0).all()
    x = torch.full((4, 3, 5, 5), 0.5)
    start = random_start(x, norm=norm, eps=0.1, keys=attack_context(range(4)).keys, name="s")
    close(distance(start - x, norm), torch.full((4,), 0.1))


def test_the_l1_step_moves_the_steepest_coordinates_alike() -> None:
    gradient = torch.tensor([[[[3.0, -4.0], [0.5, 1.0]]]])
    close(steepest(gradient, "L1", share=0.5), torch.tensor([[[[0.5, -0.5], [0.0, 0.0]]]]))
    close(steepest(gradient, "L1", share=0.01), torch.tensor([[[[0.0, -1.0], [0.0, 0.0]]]]))


def test_pgd_in_l1_finds_the_steepest_pixels_and_their_faces() -> None:
    model, x, y = linear_problem(classes=2, images=6, shape=(1, 6, 6), seed=3)
    w = (model.weight[1 - y] - model.weight[y]).double()
    room = torch.where(w > 0, 1 - x.flatten(1), x.flatten(1)).double()
    for eps in (0.2, 1.5):  # within one pixel, and across several faces of the box
        adversarial = run(Pgd("L1", eps, iterations=200, share=0.03), Defence(model), x, y)
        gained = (w * (adversarial - x).flatten(1)).sum(1)
        order = w.abs().argsort(1, descending=True)
        sizes = room.gather(1, order)
        used = (eps - (sizes.cumsum(1) - sizes)).clamp_min(0).minimum(sizes)
        best = (used * w.abs().gather(1, order)).sum(1)
        gap = (model(x).gather(1, y[:, None]) - model(x).gather(1, 1 - y[:, None])).squeeze(1)
        broken = model(adversarial).argmax(1) != y  # where it stops before the best
        assert torch.equal(broken, best > gap)
        assert (gained[~broken] > 0.97 * best[~broken]).all()
    assert broken.any()


@settings(max_examples=20, deadline=None)
@given(
    norm=st.sampled_from(NORMS),
    eps=st.sampled_from([0.0, 1e-6, 0.05, 0.6, 4.0]),
    shape=st.tuples(st.sampled_from([1, 3]), st.integers(1, 6), st.integers(1, 6)),
    noise=st.sampled_from([0.0, 0.2]),
)
def test_candidates_stay_in_ball_and_box(norm: str, eps: float, shape: tuple[int, int, int], noise: float) -> None:
    model, x, y = linear_problem(classes=3, images=4, shape=shape, seed=1)
    x = (8 * (x - 0.5) + 0.5).clamp(0, 1)
    for attack in (Pgd(norm, eps, iterations=6, restarts=2), Fgsm("Linf" if norm == "L1" else norm, eps)):
        before, state = x.clone(), torch.random.get_rng_state()
        adversarial = run(attack, Defence(model, AddNoise(noise)), x, y, eot=2, selection=16)
        assert torch.equal(torch.random.get_rng_state(), state) and torch.equal(x, before)
        assert not check_candidates(adversarial, x, attack.info)[1].any()


def test_the_harness_measures_l1() -> None:
    io, _ = stored()
    x, y = io["x"][:8], io["y"][:8]
    attacked = run_attack(Defence(classifier()), Pgd("L1", 6.0, iterations=30), x, y, protocol=Protocol())
    assert 0 < int((~attacked.robust.right).sum()) <= 8
    close(attacked.norm.float(), (attacked.images - x).abs().flatten(1).sum(1))
    assert (attacked.norm <= 6 * (1 + 1e-5)).all() and not attacked.violations.any()


@pytest.mark.parametrize("norm", NORMS)
def test_pgd_stops_on_broken_images_and_restarts_break_more(norm: str) -> None:
    io, _ = stored()
    x, y, eps = io["x"], io["y"], {"Linf": 0.02, "L2": 0.45, "L1": 4.0}[norm]
    broken, spent = [], []
    for restarts in (1, 3):
        target = Target(Defence(classifier()), samples=range(32))
        attack = Pgd(norm, eps, iterations=15, restarts=restarts)
        adversarial = attack(target, x, y, context=attack_context(range(32)))
        broken.append(classifier()(adversarial).argmax(1) != y)
        spent.append(target.counts.backwards)
    assert (broken[1] >= broken[0]).all() and 0 < int(broken[0].sum()) < 32
    standing = int((~broken[0]).sum())
    assert spent[0] < 15 * 32 and spent[1] <= spent[0] + 2 * 15 * standing


def test_pgd_is_strong_on_fresh_noise_and_harmless_without_a_radius() -> None:
    io, _ = stored()
    x, y, defence = io["x"], io["y"], Defence(classifier(), AddNoise(4.0))
    clean = fresh_accuracy(defence, x, y)
    adversarial = run(Pgd("L2", 0.6, iterations=20), defence, x, y, eot=4, selection=32)
    assert fresh_accuracy(defence, adversarial, y).mean() < clean.mean() - 0.2
    null = run(Pgd("L2", 0.0, iterations=10, restarts=2), defence, x, y, eot=2, selection=16)
    assert torch.equal(null, x)


def test_results_do_not_depend_on_the_batch() -> None:
    io, _ = stored()
    x, y, defence = io["x"][:6], io["y"][:6], Defence(classifier(), AddNoise(3.0))
    for attack in (Pgd("L1", 5.0, iterations=8, restarts=2), Fgsm("L2", 0.5)):
        whole = run(attack, defence, x, y, samples=[9, 3, 7, 5, 2, 8], eot=2, selection=16)
        some = run(attack, defence, x[[4, 1]], y[[4, 1]], samples=[2, 3], eot=2, selection=16, memory=3)
        close(some, whole[[4, 1]], depth=GRADIENT)


def test_empty_batches_and_wanted_classes() -> None:
    model, x, y = linear_problem(classes=4, images=6, shape=(3, 4, 4), seed=3)
    for attack in (Pgd("L2", 2.0), Pgd("L1", 12.0), Fgsm("L2", 2.0)):
        assert run(attack, Defence(model), x[:0], y[:0], samples=[]).shape == (0, 3, 4, 4)
    for attack in (Pgd("L2", 2.0), Pgd("L1", 12.0)):
        adversarial = run(attack, Defence(model), x, y, targets=(y + 2) % 4)
        assert (model(adversarial).argmax(1) == (y + 2) % 4).all()


def test_configurations() -> None:
    for config, build in ((fgsm.FgsmConfig, fgsm.build), (pgd.PgdConfig, pgd.build)):
        for preset in ("demo", "standard", "rigorous"):
            assert build(config(**config.BUDGETS[preset])).info.eps == 1.0
        assert type(build(config()))() == build(config())
    assert pgd.build(pgd.PgdConfig(norm="L1")).info.norm == "L1"
    with pytest.raises(ValidationError, match="'Linf' or 'L2'"):
        fgsm.FgsmConfig(norm="L1")
