"""The published attacks: closed forms, what each switch changes, and the published metric."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from golden_classifier import attack_context, run
from linear_models import LinearClassifier, linear_problem
from torch import Tensor

from mlvgm.configuration.config import ResolvedConfig
from mlvgm.errors import InputError
from mlvgm.protocols.attack import Attack
from mlvgm_robust.attacks.deepfool import DeepFool
from mlvgm_robust.attacks.geometry import distance
from mlvgm_robust.attacks.losses import cross_entropy, dlr
from mlvgm_robust.evaluation.defence import Defence
from mlvgm_robust.evaluation.harness import Attacked, Protocol, run_attack
from mlvgm_robust.evaluation.target import Target
from mlvgm_robust.published import apgd, carlini_wagner, deepfool
from mlvgm_robust.published.autoattack import PublishedAutoAttack, published_dlr
from mlvgm_robust.published.carlini_wagner import PublishedCarliniWagner
from mlvgm_robust.published.deepfool import PublishedDeepFool
from mlvgm_robust.published.found import Found
from mlvgm_robust.published.metric import FAILED, NOTE, distances, robust_accuracy, table
from mlvgm_robust.published.switches import Switches
from mlvgm_robust.published.tasks import TASKS
from mlvgm_robust.purifiers.noise import AddNoise
from mlvgm_robust.purify.units import Block, record
from tolerance import GRADIENT, close

FIXED = Switches.model_validate("fixed")
SMALL = {"ce_bounds": (0.02, 0.05, 0.2), "dlr_bounds": (0.02, 0.1, 0.2), "iterations": 20, "fab_iterations": 10}


def attacks(switches: Switches) -> dict[str, Attack]:
    return {
        "deepfool": PublishedDeepFool(iterations=20, switches=switches),
        "carlini-wagner": PublishedCarliniWagner(
            kappa=0.01, steps=25, restarts=2, start=0.1, noise=0.01, switches=switches
        ),
        "autoattack": PublishedAutoAttack(**SMALL | {"iterations": 8}, reported=(0.05, 0.2), switches=switches),
    }


def problem(classes: int = 5, images: int = 10) -> tuple[LinearClassifier, Tensor, Tensor]:
    return linear_problem(classes=classes, images=images, shape=(3, 5, 5), seed=classes)


def test_deepfool_is_the_native_one_without_box_and_bisection() -> None:
    model, x, y = problem()
    native = DeepFool("L2", iterations=20, classes=4, clip=False, bisections=0)
    ours = PublishedDeepFool(classes=5, iterations=20)
    close(run(ours, Defence(model), x, y), run(native, Defence(model), x, y))
    exact = model.distances(x, y, dual=2.0)
    assert (distance(run(ours, Defence(model), x, y) - x, "L2") >= 1.02 * exact).all()


def test_deepfool_looks_at_the_likeliest_classes_only() -> None:
    model, x, y = problem()
    one = run(PublishedDeepFool(classes=2), Defence(model), x, y)
    second = model(x).scatter(1, y[:, None], -torch.inf).argmax(1)
    reached = model(one).argmax(1) == second
    gap = model(x).gather(1, y[:, None]) - model(x).gather(1, second[:, None])
    length = gap.squeeze(1) / (model.weight[y] - model.weight[second]).norm(dim=1)
    assert reached.any()  # of the others a third class came in between
    step = distance(one - x, "L2")[reached] / length[reached]
    assert (step > 1.02).all()
    assert step.median() < 1.05


@pytest.mark.parametrize("switches", [Switches(), FIXED])
def test_carlini_wagner_comes_near_the_exact_distance(switches: Switches) -> None:
    """The minimum is at (gap + κ) / ‖w‖, where the hinge begins; a success on the way may be as near as gap / ‖w‖."""
    model, x, y = problem(classes=2)
    attack = PublishedCarliniWagner(
        c=1.0, kappa=0.05, steps=400, rate=1e-3, restarts=4, window=64, start=0.1, noise=0.01, switches=switches
    )
    gap = model(x).gather(1, y[:, None]).squeeze(1) - model(x).gather(1, 1 - y[:, None]).squeeze(1)
    length = (model.weight[0] - model.weight[1]).norm()
    found = distance(run(attack, Defence(model), x, y) - x, "L2")
    assert (found > 0.9999 * gap / length).all()
    assert (found < 1.1 * (gap + 0.05) / length).all()


def test_a_rung_is_only_for_images_that_the_rung_before_left() -> None:
    normal = torch.nn.functional.normalize(torch.randn(1, 75, generator=torch.Generator().manual_seed(0)))
    away = torch.linspace(0.1, 1.0, 10)  # exact distances
    model = LinearClassifier(torch.cat([normal, -normal]) / 2, torch.tensor([-0.25, 0.25]) * normal.sum())
    x = (0.5 + away[:, None] * normal).reshape(10, 3, 5, 5)
    y = torch.zeros(10, dtype=torch.long)
    close(model.distances(x, y, dual=2.0), away)
    said: list[str] = []
    attack = PublishedAutoAttack(ce_bounds=(0.25, 0.65, 2.0), fab_iterations=0)
    adversarial = run(attack, Defence(model), x, y, progress=said.append)
    left = [int(line.split(": ")[1].split()[0]) for line in said if line.startswith("apgd-ce")]
    assert left == [10, 8, 4]
    bounds = torch.tensor([0.25] * 2 + [0.65] * 4 + [2.0] * 4)
    assert (distance(adversarial - x, "L2") / bounds - 1).abs().max() < 0.02


def test_the_nearest_of_ladder_and_fab_counts() -> None:
    model, x, y = problem()
    exact = model.distances(x, y, dual=2.0)
    alone = run(PublishedAutoAttack(**SMALL | {"fab_iterations": 0}), Defence(model), x, y)
    both = run(PublishedAutoAttack(**SMALL), Defence(model), x, y)
    assert (distance(both - x, "L2") < distance(alone - x, "L2") * (1 + 1e-6)).all()
    assert (distance(both - x, "L2") < 1.02 * exact).all()
    assert (distance(alone - x, "L2") > 1.02 * exact).any()


@pytest.mark.parametrize("name", attacks(FIXED))
@pytest.mark.parametrize("choice", ["published", "fixed"])
@pytest.mark.parametrize("sigma", [0.0, 0.5])
def test_an_image_is_attacked_alike_alone_and_in_company(name: str, choice: str, sigma: float) -> None:
    model, x, y = problem(images=4)
    attack = attacks(Switches.model_validate(choice))[name]
    defence = Defence(model, AddNoise(sigma), votes=4)
    together = run(attack, defence, x, y, eot=4, selection=8)
    alone = [run(attack, defence, x[[i]], y[[i]], samples=[i], eot=4, selection=8) for i in range(len(x))]
    close(together, torch.cat(alone), depth=GRADIENT)


def tail(least: int, trials: int, chance: float) -> float:
    """Probability of at least ``least`` successes in independent trials."""
    return sum(math.comb(trials, k) * chance**k * (1 - chance) ** (trials - k) for k in range(least, trials + 1))


def beyond(share: float, dimension: int) -> float:
    """Probability that a coordinate of a random unit vector is above ``share``; density ∝ (1 − t²)^((n − 3) / 2)."""
    t = torch.linspace(-1, 1, 200_001, dtype=torch.double)
    density = (1 - t.square()) ** ((dimension - 3) / 2)
    return float(torch.trapezoid(density[t >= share], t[t >= share]) / torch.trapezoid(density, t))


@pytest.mark.parametrize("name", ["carlini-wagner", "autoattack"])  # DeepFool has to be on the other side as it is
def test_a_success_decided_once_is_luck(name: str) -> None:
    """Images that the attack all but leaves where they are, 0.06 before a boundary, behind noise of length 0.6.

    A decision errs with a probability q that is known, about 0.19, wherever the attack looks. Of ten decisions on their
    own draws one errs nearly always, so as published nearly every image counts as a success. Fixed, what is handed over
    has erred on at least half of 64 draws, twice: that does not happen.
    """
    images, decisions, draws, away, reach = 24, 10, 64, 0.06, 1e-3
    plane = torch.nn.functional.normalize(torch.randn(1, 75, generator=torch.Generator().manual_seed(0)))
    model = LinearClassifier(torch.cat([plane, -plane]) / 2, torch.tensor([-0.25, 0.25]) * plane.sum())
    x = (0.5 + away * plane).reshape(1, 3, 5, 5).expand(images, -1, -1, -1).contiguous()
    y = torch.zeros(images, dtype=torch.long)
    close = {
        "carlini-wagner": PublishedCarliniWagner(steps=decisions, restarts=1, rate=1e-6, start=reach / 2, noise=0.0),
        "autoattack": PublishedAutoAttack(ce_bounds=(reach,), fab_iterations=0, iterations=decisions),
    }[name]
    held, lucky = (
        run_attack(
            Defence(model, AddNoise(0.6)),
            dataclasses.replace(close, switches=Switches(success=choice, iterate="fixed")),
            x,
            y,
            protocol=Protocol(eot=1, selection=draws),
        )
        for choice in ("fixed", "published")
    )
    assert distance(lucky.images - x, "L2").max() <= reach * (1 + 1e-3)

    # Farthest from the boundary every decision errs at least so often; claimed is an image that any of ten calls wrong.
    rarely = beyond((away + reach) / 0.6, 75)
    claimed = 1 - (1 - rarely) ** decisions
    least = max(count for count in range(images) if tail(count, images, claimed) > 1 - 1e-6)
    assert rarely > 0.18 and least >= images / 2
    assert int((lucky.notes[NOTE] < FAILED).sum()) >= least

    # What is handed over may be 2 · 1.4 times as far. Five stretches and the image itself are tried of each image.
    often = beyond((away - 2.8 * reach) / 0.6, 75)
    assert images * (5 * tail(draws // 2, draws, often) ** 2) < 1e-6
    assert not held.notes and (held.norm == 0).all()


def test_the_box_has_a_switch() -> None:
    model, x, _ = problem()
    near_faces = (x - 0.5).sign() * 0.499 + 0.5
    labels = model(near_faces).argmax(1)
    free = run(PublishedDeepFool(), Defence(model), near_faces, labels)
    boxed = run(PublishedDeepFool(switches=Switches(box="fixed")), Defence(model), near_faces, labels)
    assert free.min() < 0
    assert 0 <= boxed.min() <= boxed.max() <= 1
    assert (model(boxed).argmax(1) != labels).all()


def test_a_success_is_lost_for_a_nearer_failure_as_published() -> None:
    points = torch.full((1, 1, 1, 1), 0.5)
    for choice, keeps in (("published", False), ("fixed", True)):
        attack = PublishedCarliniWagner(switches=Switches(lost=choice))
        stored = carlini_wagner._Stored(points.clone(), torch.tensor([torch.inf]), torch.tensor([False]))
        row = torch.tensor([0])
        attack._store(stored, points + 0.2, torch.tensor([0.2]), torch.tensor([True]), row)
        attack._store(stored, points + 0.1, torch.tensor([0.1]), torch.tensor([False]), row)
        assert bool(stored.succeeds) is keeps
        assert float(stored.length) == pytest.approx(0.2 if keeps else 0.1)
        attack._store(stored, points + 0.3, torch.tensor([0.3]), torch.tensor([True]), row)
        assert bool(stored.succeeds)
        assert float(stored.length) == pytest.approx(0.2 if keeps else 0.3)


def test_carlini_wagner_starts_where_the_switch_says() -> None:
    model, x, y = problem()
    far = {}
    for choice in ("published", "fixed"):
        # One step in which nothing moves: what is recorded is the start.
        attack = PublishedCarliniWagner(steps=1, restarts=1, start=0.3, noise=0.0, switches=Switches(start=choice))
        far[choice] = distance(run(attack, Defence(model), x, y) - x, "L2")
    hit = far["published"] > 0
    assert hit.any()
    assert (far["published"][hit] / 0.3 - 1).abs().max() < 1e-3  # through tanh, and clipped a little inside
    assert (far["fixed"] == 0).all()


@pytest.mark.parametrize(("succeeded", "c"), [((False, False), 1.44), ((True, False), 0.96), ((True, True), 0.72)])
def test_c_follows_what_a_restart_came_to(
    succeeded: tuple[bool, bool], c: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """×1.2 after failure, ×0.8 after a nearer success, ×0.9 after one that is farther."""
    seen: list[Tensor] = []
    outcomes = iter([*zip(succeeded, (0.2, 0.3), strict=True), (False, torch.inf)])

    def search(self: object, found: object, rows: Tensor, c: Tensor, context: object) -> carlini_wagner._Stored:
        seen.append(c.clone())
        success, length = next(outcomes)
        return carlini_wagner._Stored(x + length / 75**0.5, torch.tensor([length]), torch.tensor([success]))

    model, x, y = problem(images=1)
    monkeypatch.setattr(PublishedCarliniWagner, "_search", search)
    run(PublishedCarliniWagner(c=1.0, restarts=3), Defence(model), x, y)
    close(torch.cat(seen), torch.tensor([1.0, 0.8 if succeeded[0] else 1.2, c]))


def test_ladders_of_the_switches() -> None:
    def bounds(classes: int, **switches: str) -> dict[str, tuple[float, ...]]:
        attack = PublishedAutoAttack(reported=TASKS["cars"].bounds, switches=Switches(**switches))
        return {name: rungs for name, (_, rungs) in attack.ladders(classes).items()}

    assert bounds(2) == bounds(3) == {"apgd-ce": (0.5, 1.0, 4.0)}
    assert bounds(4) == {"apgd-ce": (0.5, 1.0, 4.0), "apgd-dlr": (0.5, 2.0, 4.0)}
    assert bounds(2, few_classes="fixed") == bounds(4)
    for choice, loss in (("published", published_dlr), ("fixed", dlr)):
        assert PublishedAutoAttack(switches=Switches(ratio=choice)).ladders(4)["apgd-dlr"][0] is loss
    assert bounds(4, ladder="fixed") == dict.fromkeys(("apgd-ce", "apgd-dlr"), (0.5, 1.0, 2.0, 4.0))


def test_the_published_ratio_passes_over_the_true_class() -> None:
    logits = torch.tensor([[5.0, 3.0, 2.0, 1.0, 0.0]]).expand(3, -1)
    published = published_dlr(logits, torch.tensor([0, 1, 2]))
    close(published, torch.tensor([-2 / 3, 2 / 3, 3 / 4]))
    close(dlr(logits, torch.tensor([0, 1, 2])), torch.tensor([-2 / 3, 2 / 3, 1.0]))


def test_every_iterate_is_judged_when_fixed() -> None:
    """So close that the noise decides: the more points are judged, the more of them succeed."""
    model, x, y = problem(images=16)
    defence = Defence(model, AddNoise(0.5))
    options = {"fab_iterations": 0, "ce_bounds": (0.005,), "dlr_bounds": (), "iterations": 10}

    def found(choice: str) -> int:
        attack = PublishedAutoAttack(**options, switches=Switches(iterate=choice))
        noted = run_attack(defence, attack, x, y, protocol=Protocol(eot=1)).notes[NOTE]
        return int(((noted > 0) & (noted < 100)).sum())

    assert found("fixed") >= found("published") + 3


def plain(attack: Attack, attacked: Attacked, labels: Tensor) -> dict:
    unit = Block("u--d--000000", "d", "u", tuple(range(len(labels))))
    return json.loads(json.dumps(record(unit, labels, attacked, info=attack.info) | {"differentiable": True}))


@pytest.mark.parametrize("name", attacks(FIXED))
def test_all_fixed_is_what_the_harness_scores(name: str) -> None:
    model, x, y = problem(classes=4, images=12)
    y = y.clone()
    y[0] = (y[0] + 1) % 4  # misclassified clean
    attack = attacks(FIXED)[name]
    attacked = run_attack(Defence(model, AddNoise(0.3), votes=8), attack, x, y, protocol=Protocol(eot=4))
    expected = torch.where(attacked.robust.right, 100.0, attacked.norm.double())
    expected = torch.where(attacked.clean.right, expected, 0.0)
    assert distances(plain(attack, attacked, y)) == expected.tolist()
    assert expected[0] == 0


def test_as_published_the_attacks_own_decisions_are_recorded() -> None:
    model, x, y = problem()
    attack = PublishedDeepFool(iterations=20)
    attacked = run_attack(Defence(model), attack, x, y)
    written = plain(attack, attacked, y)
    assert distances(written) == pytest.approx(distance(run(attack, Defence(model), x, y) - x, "L2").tolist())
    failed = run_attack(Defence(model), dataclasses.replace(attack, overshoot=-0.9, iterations=1), x, y)
    assert distances(plain(attack, failed, y)) == [100.0] * len(x)
    (row,) = table([written], {"u": (0.0, 0.03)})
    shares = [sum(length > bound for length in row["distances"]) / len(x) for bound in (0.0, 0.03)]
    assert [row["robust"][key]["value"] for key in ("0", "0.03")] == shares
    assert robust_accuracy([0.5, 0.5, 0.0, 100.0], (0.5,))[0].value == 0.25  # above the bound, not at it


def test_values_are_the_tasks_unless_given() -> None:
    for task, values in TASKS.items():
        config = deepfool.PublishedDeepFoolConfig(task=task, iterations=3)
        assert deepfool.build(config) == PublishedDeepFool(values.deepfool.classes, values.deepfool.overshoot, 3)
        built = carlini_wagner.build(carlini_wagner.PublishedCarliniWagnerConfig(task=task))
        expected = dataclasses.asdict(values.carlini_wagner) | {"start": values.start, "noise": values.noise}
        assert {name: getattr(built, name) for name in expected} == expected
    assert [TASKS[task].start for task in ("ids", "cars", "gender", "fashion")] == [2, 4, 8, 1]
    assert [TASKS[task].noise for task in ("ids", "cars", "gender", "fashion")] == [0.25, 0.5, 1, 0.125]


def test_wanted_classes_are_refused() -> None:
    model, x, y = problem()
    with pytest.raises(InputError, match="untargeted"):
        run(PublishedDeepFool(), Defence(model), x, y, targets=y)


def test_a_run_ends_with_its_published_figures(tmp_path: Path) -> None:
    from mlvgm.runs.rundir import RunDirectory
    from mlvgm_robust.published.hooks import mlvgm_run_finished
    from mlvgm_robust.purify.config import checked

    model, x, y = problem()
    attack = PublishedDeepFool(iterations=20)
    written = plain(attack, run_attack(Defence(model), attack, x, y), y)
    named = {"name": "published-deepfool", "task": "cars"}
    tree: dict[str, Any] = {"threads": 1, "data": {"name": "d"}, "classifier": {"name": "c"}}
    tree |= {"rows": [{"label": "d", "purifier": {"name": "none"}}], "attacks": [{"label": "u", "attack": named}]}
    text = ResolvedConfig(checked(tree), {}).to_yaml()
    directory = RunDirectory.create(tmp_path / "run", name="test", config=text, environment={})
    directory.append(written)
    mlvgm_run_finished(run=directory)
    (entry,) = json.loads((directory.path / "published.json").read_text())
    assert list(entry["robust"]) == ["0.5", "1", "2", "4"]
    assert entry["distances"] == distances(written)


def test_the_step_is_judged_by_the_steps_since_it_was_last_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checkpoints 14, 27, 39, 50 and 60 of 64 (arXiv 2003.01690, section 3)."""
    spans: list[int] = []
    monkeypatch.setattr(apgd, "halve_stalled", lambda state, span: spans.append(span))
    model, x, y = linear_problem(classes=3, images=2, shape=(1, 3, 3), seed=0)
    target, context = Target(Defence(model), samples=range(2)), attack_context(range(2))
    found = Found.of(target, x, y, targets=None, context=context, success="published")
    rows = torch.arange(2)
    apgd.ascend(found, rows, cross_entropy, eps=0.01, iterations=64, keys=context.keys, every=False)
    assert spans == [14, 13, 12, 11, 10]
