"""Security curves: robust accuracy against the radius, and the distances at which images are broken."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from mlvgm.statistics import Estimate
from mlvgm_robust.purify.outcomes import Outcome, accuracy
from mlvgm_robust.purify.worst_case import point_wise, seen_by_all, threats

STEPS = 100


@dataclass(frozen=True)
class Curve:
    """Robust accuracy of a defence against the radius.

    Args:
        label: the defence's row.
        norm: norm of the radius.
        kind: ``minimal`` (all radii from the distances of one minimal-norm attack), ``fixed`` (one attack at its
            radius) or ``worst`` (point-wise worst case of all attacks).
        attack: the attack's label, None for the worst case.
        radii: ascending.
        robust: accuracy of one deployed decision at each of them, with a pointwise 95 % Wilson interval.
    """

    label: str
    norm: str
    kind: Literal["minimal", "fixed", "worst"]
    attack: str | None
    radii: tuple[float, ...]
    robust: tuple[Estimate, ...]


@dataclass(frozen=True)
class Distances:
    """Distances at which a minimal-norm attack broke each image.

    Args:
        label: the defence's row.
        attack: the attack's label.
        norm: norm of the distances.
        images: how many images.
        broken: how many of them were broken, at whatever distance.
        quartiles: distance within which 25, 50 and 75 % of the images are broken; None where fewer ever are.
        values: distance of each image in the order of sample ids; 0 where it is misclassified anyway, None where the
            attack failed (censored, not removed).
    """

    label: str
    attack: str
    norm: str
    images: int
    broken: int
    quartiles: tuple[float | None, ...]
    values: tuple[float | None, ...]

    @property
    def median(self) -> float | None:
        return self.quartiles[1]


def radii_of(outcomes: Sequence[Outcome], norm: str) -> tuple[float, ...]:
    """Radii at which the curves of one comparison are drawn: an even grid, and the radii of its attacks."""
    fixed = {eps for name, eps in threats(outcomes) if name == norm}
    found = [o.distances() for o in outcomes if o.norm == norm and o.minimal]
    if not found:
        return tuple(sorted({0.0, *fixed}))
    distances = torch.cat(found)
    reached = distances[torch.isfinite(distances)]
    top = max([*fixed, float(reached.max()) if len(reached) else 0.0]) or 1.0
    return tuple(sorted({*fixed, *(top * step / STEPS for step in range(STEPS + 1))}))


def security_curves(outcomes: Sequence[Outcome]) -> list[Curve]:
    """All curves of a comparison: those of each minimal-norm attack, points of the others, and the worst case.

    A worst case is given for a defence that several attacks in one norm have attacked, over the images that all of them
    have seen. Without attacks of minimal norm it ends at the largest radius.

    Args:
        outcomes: of all defences under all attacks.
    """
    curves = []
    for norm in dict.fromkeys(outcome.norm for outcome in outcomes):
        radii = radii_of(outcomes, norm)
        for label in dict.fromkeys(outcome.label for outcome in outcomes):
            own = [outcome for outcome in outcomes if (outcome.label, outcome.norm) == (label, norm)]
            curves += [_curve(outcome, radii) for outcome in own]
            if len(own) > 1:
                told = [radius for radius in radii if radius <= _reach(own)]
                shared = seen_by_all(own)  # at every radius, so that no point of the curve is of other images
                right = [point_wise(own, norm=norm, eps=radius, samples=shared).right for radius in told]
                drawn = [(radius, accuracy(one)) for radius, one in zip(told, right, strict=True) if len(one)]
                if drawn:
                    curves.append(Curve(label, norm, "worst", None, *zip(*drawn, strict=True)))
    return curves


def _reach(outcomes: Sequence[Outcome]) -> float:
    """Largest radius up to which images are attacked: that of fixed-budget attacks if there are no others."""
    return max(math.inf if outcome.eps is None else outcome.eps for outcome in outcomes)


def _curve(outcome: Outcome, radii: tuple[float, ...]) -> Curve:
    if outcome.eps is not None:
        return Curve(outcome.label, outcome.norm, "fixed", outcome.attack, (outcome.eps,), (accuracy(outcome.robust),))
    return Curve(
        outcome.label,
        outcome.norm,
        "minimal",
        outcome.attack,
        radii,
        tuple(accuracy(torch.where(outcome.within(radius), outcome.robust, outcome.clean)) for radius in radii),
    )


def distances(outcomes: Sequence[Outcome]) -> list[Distances]:
    """Distances of every minimal-norm attack among ``outcomes``."""
    found = []
    for outcome in outcomes:
        if not outcome.minimal:
            continue
        values = outcome.distances()
        found.append(
            Distances(
                outcome.label,
                outcome.attack,
                outcome.norm,
                len(values),
                int(torch.isfinite(values).sum()),
                tuple(_quantile(values, share) for share in (0.25, 0.5, 0.75)),
                tuple(_finite(value) for value in values.tolist()),
            )
        )
    return found


def _quantile(values: Tensor, share: float) -> float | None:
    """The smallest value that at least ``share`` of the values do not exceed; censored ones are above all others."""
    ordered = values.sort().values
    return _finite(float(ordered[max(0, math.ceil(share * len(ordered)) - 1)])) if len(ordered) else None


def _finite(value: float) -> float | None:
    return value if value < float("inf") else None
