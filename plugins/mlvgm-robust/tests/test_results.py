"""Worst case, security curves, distances and comparison, against closed forms and against luck."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from itertools import permutations
from typing import Any

import pytest
import torch
from scipy.stats import binomtest
from torch import Tensor
from toys import Additive, Brightness, Shift

from mlvgm.protocols.attack import Attack, AttackContext, AttackInfo
from mlvgm.statistics import bootstrap_mean, mean_share, wilson
from mlvgm_robust.evaluation.defence import Defence
from mlvgm_robust.evaluation.harness import Protocol, run_attack
from mlvgm_robust.evaluation.target import Target
from mlvgm_robust.purify.comparison import as_plain, compare
from mlvgm_robust.purify.config import checked
from mlvgm_robust.purify.metrics import worst_robust
from mlvgm_robust.purify.outcomes import REFUSED, Outcome
from mlvgm_robust.purify.results import results
from mlvgm_robust.purify.security_curve import distances, security_curves
from mlvgm_robust.purify.units import Block, record
from mlvgm_robust.purify.worst_case import UNTOUCHED, point_wise, threats, worst_case

LEVELS = torch.linspace(0.05, 0.95, 36)
LABELS = (LEVELS > 0.5).long()


@dataclass(frozen=True)
class Nearest:
    """The exact minimal-norm attack on :class:`Brightness` in Linf, which gives up beyond ``reach``."""

    reach: float = 1.0

    @property
    def info(self) -> AttackInfo:
        return AttackInfo("nearest", "Linf", None, access="score")

    def __call__(
        self, target: Target, images: Tensor, labels: Tensor, *, targets: Tensor | None = None, context: AttackContext
    ) -> Tensor:
        way = 0.5 - images.flatten(1).mean(1)
        wrong = (way < 0) != (labels == 1)
        step = (way + 1e-4 * way.sign()) * (~wrong & (way.abs() <= self.reach))
        return (images + step[:, None, None, None]).clamp(0, 1)


def outcome(
    attack: Attack,
    *,
    label: str = "it",
    name: str = "",
    defence: Defence | None = None,
    labels: Tensor = LABELS,
    seed: int = 0,
) -> Outcome:
    images = LEVELS[:, None, None, None].expand(-1, 1, 2, 2).contiguous()
    attacked = run_attack(defence or Defence(Brightness()), attack, images, labels, protocol=Protocol(seed=seed))
    unit = Block("unit", label, name or attack.info.name, tuple(range(len(LEVELS))))
    return Outcome.of([record(unit, labels, attacked, info=attack.info)])


def made(attack: str, eps: float | None, *, label: str = "it", norm: str = "L2", **values: Any) -> Outcome:
    """An outcome by hand; what is not given is a right decision without a perturbation."""
    count = len(next(iter(values.values())))
    filled = {
        "clean": [True] * count,
        "robust": [True] * count,
        "chance": [0.0] * count,
        "distance": [0.0] * count,
        "violations": [False] * count,
        "samples": list(range(count)),
    } | values
    filled["norm"] = filled.pop("distance")
    single = {"robust_single": [float(one) for one in filled["robust"]]}
    return Outcome.of([{"defence": label, "attack": attack, "norm_name": norm, "eps": eps} | single | filled])


def test_twenty_copies_of_an_attack_that_does_nothing_break_nothing() -> None:
    """The minimum of 20 scores counts luck; the attack with the highest chance, scored by itself, does not."""
    noisy = Defence(Brightness(), Additive(0.3))
    copies = [outcome(Shift(0.1, 0.0), name=f"copy {n:02}", defence=noisy, seed=n) for n in range(20)]
    truth = torch.special.ndtr((LEVELS - 0.5).abs().double() / 0.3)  # of single draws, in closed form
    worst = point_wise(copies, norm="Linf", eps=0.1)
    minimum = torch.stack([one.robust for one in copies]).all(0)
    spread = float((truth * (1 - truth)).sum().sqrt()) / len(truth)
    assert abs(float(worst.right.double().mean() - truth.mean())) < 3 * spread
    assert abs(float(worst.single.mean() - truth.mean())) < 3 * spread
    assert float(minimum.double().mean()) < float(truth.mean()) - 6 * spread


def test_an_image_broken_by_any_attack_is_broken_in_the_worst_case() -> None:
    """On a deterministic defence the worst case is exactly the minimum, and the closed form."""
    attacks = [outcome(Shift(0.1, 0.1), name="small"), outcome(Shift(0.2, 0.2), name="large"), outcome(Nearest(0.3))]
    gap = (LEVELS - 0.5).abs()
    for eps, reach in ((0.1, 0.1), (0.15, 0.15), (0.2, 0.2), (0.25, 0.25), (0.4, 0.3)):
        worst = point_wise(attacks, norm="Linf", eps=eps)
        sure = (gap - reach).abs() > 2e-4
        assert torch.equal(worst.right[sure], (gap > reach)[sure]), eps
    assert threats(attacks) == [("Linf", 0.1), ("Linf", 0.2)]


def test_the_order_of_attacks_does_not_matter() -> None:
    generator = random.Random(0)

    def values() -> dict[str, Any]:
        return {
            "robust": [generator.random() < 0.5 for _ in range(30)],
            "chance": [generator.choice([0.0, 0.5, 1.0]) for _ in range(30)],  # ties abound
            "distance": [generator.random() for _ in range(30)],
            "samples": generator.sample(range(40), 30),
        }

    attacks = [made("a", 0.5, **values()), made("b", 1.0, **values()), made("c", None, **values())]
    results = [worst_case(list(order), norm="L2", eps=0.7) for order in permutations(attacks)]
    assert all(one == results[0] for one in results)
    assert set(results[0].attacks) == {"a", "c"}, "the radius of b is larger"
    assert results[0].images == len({*attacks[0].samples} & {*attacks[2].samples}) < 30


def test_the_highest_chance_counts_with_its_own_score() -> None:
    likely = made("likely", 1.0, robust=[True, False], chance=[0.9, 0.6])
    lucky = made("lucky", 1.0, robust=[False, True], chance=[0.2, 0.7])
    worst = point_wise([likely, lucky], norm="L2", eps=1.0)
    assert worst.attacks == ("likely", "lucky") and worst.right.tolist() == [True, True]
    shares = (torch.tensor([0.6, 0.3]).double(), torch.tensor([0.1, 0.7]).double())
    both = [replace(one, robust_single=share) for one, share in zip((likely, lucky), shares, strict=True)]
    assert point_wise(both, norm="L2", eps=1.0).single.tolist() == pytest.approx([0.6, 0.7])


def test_only_what_refusal_left_right_stands_back() -> None:
    """A given image that is wrong anyway is as good a candidate as any."""
    refused = made("astray", 1.0, robust=[False, True], chance=[0.7, 0.2], violations=[True, True])
    assert refused.chance.tolist() == [0.7, REFUSED]


def test_which_attacks_take_part() -> None:
    small = made("small", 0.5, robust=[False], chance=[1.0])
    large = made("large", 2.0, robust=[False], chance=[1.0])
    other = made("other", 0.5, norm="Linf", robust=[False], chance=[1.0])
    near = made("near", None, robust=[False], chance=[1.0], distance=[0.7])
    assert not point_wise([small], norm="L2", eps=1.0).right.any(), "an image within 0.5 is within 1"
    assert not point_wise([large, other], norm="L2", eps=1.0).samples, "larger radii and other norms stay out"
    assert point_wise([near], norm="L2", eps=0.6).attacks == (UNTOUCHED,)
    assert point_wise([near], norm="L2", eps=0.6).right.all() and not point_wise([near], norm="L2", eps=0.7).right.any()


def test_attacks_on_different_images() -> None:
    first = made("first", 1.0, robust=[False, True], chance=[1.0, 0.0], samples=[0, 1])
    second = made("second", 1.0, robust=[False, False], chance=[1.0, 1.0], samples=[2, 1])
    worst = point_wise([first, second], norm="L2", eps=1.0)
    assert worst.samples == (1,) and worst.attacks == ("second",) and not worst.right.any()


def test_an_attack_on_few_images_does_not_dilute_the_worst_case() -> None:
    """A strong attack on 4 of 16 images breaks all it sees: nothing is left, whatever a weak one says of the others."""
    weak = made("weak", 1.0, robust=[True] * 16, chance=[0.1] * 16)
    strong = made("strong", 1.0, robust=[False] * 4, chance=[0.9] * 4)
    worst = worst_case([weak, strong], norm="L2", eps=1.0)
    assert (worst.images, worst.robust, worst.attacks) == (4, wilson(0, 4), {"strong": 4, "weak": 0})
    cell = compare([weak, strong]).rows[0].worst["L2 ≤ 1"]
    assert (cell.images, cell.robust) == (4, wilson(0, 4))
    beside = made("beside", 1.0, robust=[False], chance=[0.9], samples=[20])
    assert as_plain([weak, beside])["worst"] == [], "no image has been seen by both"
    assert [curve.kind for curve in security_curves([weak, beside])] == ["fixed", "fixed"]


def test_the_curve_of_exact_minimal_distances_is_the_closed_form() -> None:
    wrong = LABELS.clone()
    wrong[:4] = 1 - wrong[:4]
    found = outcome(Nearest(0.3), labels=wrong)
    (curve,) = security_curves([found])
    gap = (LEVELS - 0.5).abs()
    gap[:4] = 0  # misclassified as they are
    for radius, point in zip(curve.radii, curve.robust, strict=True):
        if (gap - radius).abs().min() > 2e-4 or radius == 0:
            broken = gap <= min(radius, 0.3)
            assert point == wilson(int((~broken).sum()), 36)
    (one,) = distances([found])
    assert one.values[:4] == (0, 0, 0, 0) and one.broken == int((gap <= 0.3).sum())
    exact = sorted(float(value) if value <= 0.3 else float("inf") for value in gap)
    assert one.median == pytest.approx(exact[17], abs=2e-4)
    censored = distances([outcome(Nearest(0.1))])[0]
    assert censored.median is None and censored.values.count(None) == int(((LEVELS - 0.5).abs() > 0.1).sum())


def test_what_is_misclassified_anyway_is_at_distance_0() -> None:
    """Also where the attack handed over something farther."""
    far = made("far", None, clean=[False, True, True], robust=[False, False, True], distance=[0.7, 0.7, 0.7])
    assert distances([far])[0].values == (0.0, 0.7, None) and distances([far])[0].quartiles == (0.0, 0.7, None)


def test_the_curve_of_the_worst_case_is_below_all_others() -> None:
    attacks = [outcome(Shift(0.1, 0.1), name="fixed"), outcome(Nearest(0.3), name="near")]
    curves = {curve.attack: curve for curve in security_curves(attacks)}
    assert [curve.kind for curve in curves.values()] == ["fixed", "minimal", "worst"]
    worst = dict(zip(curves[None].radii, curves[None].robust, strict=True))
    for name in ("fixed", "near"):
        assert all(worst[r].value <= p.value for r, p in zip(curves[name].radii, curves[name].robust, strict=True))


def test_the_curve_of_the_worst_case_is_of_the_same_images_throughout() -> None:
    fixed, near = outcome(Shift(0.1, 0.1), name="fixed"), outcome(Nearest(0.3), name="near")
    few = {f: getattr(near, f)[:9] for f in ("samples", "clean", "robust", "robust_single", "chance", "distance")}
    for minimal, images in ((near, 36), (replace(near, **few), 9)):
        (worst,) = (curve for curve in security_curves([fixed, minimal]) if curve.kind == "worst")
        assert worst.radii[-1] == pytest.approx(float(minimal.distance.max()))
        assert all(point == wilson(point.value * images, images) for point in worst.robust)
    (worst,) = (one for one in security_curves([fixed, replace(fixed, attack="again")]) if one.kind == "worst")
    assert worst.radii == (pytest.approx(0.1),)


def test_distances_of_a_random_defence_do_not_count_two_chances() -> None:
    """Right with 0.8 whatever the image: one fifth is broken, not the third that misses one of two decisions."""
    generator = torch.Generator().manual_seed(0)
    clean, robust = (torch.rand(4000, generator=generator) < 0.8 for _ in range(2))
    (one,) = distances([made("null", None, clean=clean.tolist(), robust=robust.tolist())])
    assert one.broken / one.images == pytest.approx(0.2, abs=0.03)


def test_clean_accuracy_is_of_as_many_images_as_there_are() -> None:
    few = made("few", 1.0, clean=[False], robust=[False])
    many = made("many", 1.0, clean=[False, True, True, True], robust=[False] * 4)
    assert compare([few, many]).rows[0].clean == compare([many, few]).rows[0].clean == wilson(3, 4)


def test_comparison_with_the_undefended_row() -> None:
    generator = random.Random(1)
    samples = list(range(60))
    first, second = ([generator.random() < share for _ in samples] for share in (0.7, 0.4))
    rows = [
        made("a", 1.0, label="defended", robust=first, samples=samples),
        made("b", 1.0, label="defended", robust=first[:30], samples=samples[:30]),
        made("a", 1.0, label="undefended", robust=second[::-1], samples=samples[::-1]),
    ]
    table = compare(rows)
    cell = table.rows[0].attacks["a"]
    only = sum(x and not y for x, y in zip(first, second, strict=True))
    other = sum(y and not x for x, y in zip(first, second, strict=True))
    assert cell.p == pytest.approx(binomtest(only, only + other).pvalue)
    assert cell.difference == pytest.approx((only - other) / 60)
    assert table.worst == ("L2 ≤ 1",) and "b" not in table.rows[1].attacks
    assert table.rows[0].attacks["b"].p is None and table.rows[1].attacks["a"].p is None
    plain = as_plain(rows)
    assert [(one["label"], one["images"]) for one in plain["worst"]] == [("defended", 30), ("undefended", 60)]
    assert {one["attack"] for one in plain["paired"]} == {"a", "worst case, L2 ≤ 1"}
    assert as_plain(rows[:1])["worst"] == [], "one attack is its own worst case"
    assert compare([replace(one, label="it") for one in rows[:1]]).rows[0].attacks["a"].p is None


def test_equal_shares_do_not_claim_certainty() -> None:
    assert mean_share(torch.ones(16)) == wilson(16, 16)
    assert mean_share(torch.full((8,), 0.25)).value == 0.25
    mixed = torch.tensor([0.0, 0.5, 1.0])
    assert mean_share(mixed) == bootstrap_mean(mixed)


def test_the_threshold_is_about_the_worst_case_within_a_radius() -> None:
    named = {"name": "x"}
    attacks = [{"label": label, "attack": named} for label in ("one", "other", "near")]
    config = checked(
        {
            "threads": 1,
            "data": named,
            "classifier": named,
            "attacks": attacks,
            "rows": [{"label": "it", "purifier": named}],
        }
    )

    def figures(*given: tuple[str, float | None, list[bool], list[float]]) -> dict[str, Any]:
        done = {}
        for attack, eps, robust, distance in given:
            count = len(robust)
            done[attack] = {
                **{"unit": attack, "defence": "it", "attack": attack, "norm_name": "L2", "eps": eps},
                **{"samples": list(range(count)), "labels": [0] * count, "clean": [True] * count, "robust": robust},
                **{"clean_single": [1.0] * count, "robust_single": [float(one) for one in robust]},
                **{"chance": [float(not one) for one in robust], "norm": distance, "violations": [False] * count},
                **{"forwards": 1, "backwards": 1, "paths": ["exact"], "seconds": 0.0, "decision_seconds": 0.0},
                "differentiable": True,
            }
        return results(config, done)

    far = ("near", None, [False] * 4, [9.0, 0.5, 9.0, 9.0])  # breaks everything, but mostly out of reach
    fixed = [("one", 1.0, [False, True, True, True], [1.0] * 4), ("other", 1.0, [True, True, False, True], [1.0] * 4)]
    assert worst_robust(figures(*fixed), "it") == 0.5
    assert worst_robust(figures(*fixed, far), "it") == 0.25
    assert worst_robust(figures(fixed[0]), "it") == 0.75
    assert worst_robust(figures(far), "it") == 0
