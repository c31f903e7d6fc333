"""Comparison of all defences under all attacks on the same images, with paired tests against the undefended one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor

from mlvgm.statistics import Estimate, mcnemar
from mlvgm_robust.purify.outcomes import Outcome, accuracy, on_samples
from mlvgm_robust.purify.security_curve import Curve, distances, security_curves
from mlvgm_robust.purify.worst_case import point_wise, threats, worst_case

BASELINE = "undefended"


@dataclass(frozen=True)
class Cell:
    """A defence under an attack, or in the worst case of all attacks within a radius.

    Args:
        robust: accuracy of one deployed decision.
        images: how many images.
        minimal: the attack looks for the nearest success; ``robust`` is then that at any distance.
        median: median distance of a minimal-norm attack; None if fewer than half of the images were broken.
        difference: robust accuracy above the baseline's on the images that both have; None without a baseline.
        p: of McNemar's exact test against the baseline on the same images, not corrected for the number of tests.
    """

    robust: Estimate
    images: int
    minimal: bool = False
    median: float | None = None
    difference: float | None = None
    p: float | None = None


@dataclass(frozen=True)
class ComparisonRow:
    """A line of the comparison: clean accuracy, a cell for each attack, and one for each worst case."""

    label: str
    clean: Estimate
    attacks: Mapping[str, Cell]
    worst: Mapping[str, Cell]


@dataclass(frozen=True)
class Comparison:
    """The whole table; a cell that was not computed is missing.

    Args:
        attacks: labels of the attacks, columns in order.
        worst: titles of the worst cases, one for each threat; none where there is only one attack.
        rows: one a defence.
    """

    attacks: tuple[str, ...]
    worst: tuple[str, ...]
    rows: tuple[ComparisonRow, ...]


def threat_title(norm: str, eps: float) -> str:
    """A threat in words.

    >>> threat_title("L2", 0.5)
    'L2 ≤ 0.5'
    """
    return f"{norm} ≤ {eps:.4g}"


def compare(outcomes: Sequence[Outcome], *, baseline: str = BASELINE) -> Comparison:
    """The comparison of ``outcomes`` of all defences under all attacks, in their order."""
    labels = list(dict.fromkeys(outcome.label for outcome in outcomes))
    attacks = tuple(dict.fromkeys(outcome.attack for outcome in outcomes))
    several = threats(outcomes) if len(attacks) > 1 else []
    own = {label: [outcome for outcome in outcomes if outcome.label == label] for label in labels}
    scores: dict[tuple[str, str], tuple[tuple[int, ...], Tensor]] = {
        (outcome.label, outcome.attack): (outcome.samples, outcome.robust) for outcome in outcomes
    }
    titles = {threat_title(norm, eps): (norm, eps) for norm, eps in several}
    worst = {
        (label, title): point_wise(own[label], norm=norm, eps=eps)
        for label in labels
        for title, (norm, eps) in titles.items()
    }
    worst_scores = {key: (found.samples, found.right) for key, found in worst.items() if found.samples}
    medians = {(found.label, found.attack): found.median for found in distances(outcomes)}

    def cell(label: str, column: str, table: Mapping[tuple[str, str], tuple[tuple[int, ...], Tensor]]) -> Cell:
        samples, right = table[label, column]
        minimal = table is scores and (label, column) in medians
        difference = p = None
        if label != baseline and (baseline, column) in table:
            other, base = table[baseline, column]
            shared = sorted(set(samples) & set(other))
            if shared:
                first, second = on_samples(samples, right, shared), on_samples(other, base, shared)
                difference, p = float((first.double() - second.double()).mean()), mcnemar(first, second)
        median = medians[label, column] if minimal else None
        return Cell(accuracy(right), len(samples), minimal, median, difference, p)

    rows = [
        ComparisonRow(
            label,
            accuracy(_clean(own[label])),
            {attack: cell(label, attack, scores) for attack in attacks if (label, attack) in scores},
            {title: cell(label, title, worst_scores) for title in titles if (label, title) in worst_scores},
        )
        for label in labels
    ]
    return Comparison(attacks, tuple(titles), tuple(rows))


def _clean(outcomes: Sequence[Outcome]) -> Tensor:
    """Decisions about the given images, from the attack that has seen the most of them."""
    return max(outcomes, key=lambda outcome: len(outcome.samples)).clean


def as_plain(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Worst cases, paired tests, security curves and distances of ``outcomes`` as plain values for ``metrics.json``.

    ``worst`` is empty where there is only one attack.
    """
    table = compare(outcomes)
    own = {row.label: [outcome for outcome in outcomes if outcome.label == row.label] for row in table.rows}
    several = threats(outcomes) if table.worst else []
    return {
        "worst": [
            asdict(worst)
            for found in own.values()
            for norm, eps in several
            if (worst := worst_case(found, norm=norm, eps=eps)).images
        ],
        "paired": [
            {
                "label": row.label,
                "against": BASELINE,
                "attack": column,
                "difference": cell.difference,
                "p": cell.p,
            }
            for row in table.rows
            for column, cell in [
                *row.attacks.items(),
                *((f"worst case, {key}", cell) for key, cell in row.worst.items()),
            ]
            if cell.p is not None
        ],
        "curves": [_plain_curve(curve) for curve in security_curves(outcomes)],
        "distances": [asdict(found) for found in distances(outcomes)],
    }


def _plain_curve(curve: Curve) -> dict[str, Any]:
    head = {"label": curve.label, "norm": curve.norm, "kind": curve.kind, "attack": curve.attack}
    bounds = {name: [getattr(point, name) for point in curve.robust] for name in ("value", "low", "high")}
    return head | {"radii": list(curve.radii)} | bounds
