"""Point-wise worst case over attacks: per image, the attack most likely to succeed counts with its own score."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mlvgm.pipelines.outcomes import Outcome, accuracy
from mlvgm.statistics import Estimate, mean_share

UNTOUCHED = "no attack"


@dataclass(frozen=True)
class PointWise:
    """The worst case of each image within a radius.

    Args:
        samples: sample ids, ascending; every image that at least one of the attacks has seen.
        attacks: label of the attack that counts for each image; :data:`UNTOUCHED` where no candidate lies within the
            radius, so that the given image itself counts.
        right: (n,) bool, the score of that attack's image.
        single: (n,) its share of right single draws.
    """

    samples: tuple[int, ...]
    attacks: tuple[str, ...]
    right: Tensor
    single: Tensor


@dataclass(frozen=True)
class WorstCase:
    """Figures of a defence against all its attacks within a radius.

    Args:
        label: the defence's row.
        norm: norm of the threat.
        eps: its radius.
        images: how many images.
        attacks: for how many images each attack counts; every attack that takes part is named.
        robust: accuracy of one decision with the deployed votes (Wilson 95 %).
        robust_single: accuracy of single draws (bootstrap over images, 95 %).
    """

    label: str
    norm: str
    eps: float
    images: int
    attacks: dict[str, int]
    robust: Estimate
    robust_single: Estimate


def point_wise(outcomes: Iterable[Outcome], *, norm: str, eps: float) -> PointWise:
    """Per image, the attack with the highest chance counts with its own score; the first by name on ties.

    The chance is estimated on selection draws, which the score has not seen. Taking the worst *score* instead would
    count luck: 20 copies of an attack that does nothing would break a random defence.

    An image within a smaller radius is within a larger one too, so attacks of smaller radii take part. A minimal-norm
    attack takes part at every radius, with the images whose distance it does not exceed.

    Args:
        outcomes: those of one defence, in any order.
        norm: only attacks in this norm take part.
        eps: radius.
    """
    taking_part = sorted((o for o in outcomes if takes_part(o, norm=norm, eps=eps)), key=lambda o: o.attack)
    samples = tuple(sorted({sample for outcome in taking_part for sample in outcome.samples}))
    if not samples:
        return PointWise((), (), torch.zeros(0, dtype=torch.bool), torch.zeros(0, dtype=torch.double))
    place = {sample: number for number, sample in enumerate(samples)}
    shape = len(taking_part), len(samples)
    chance = torch.full(shape, -torch.inf, dtype=torch.double)
    right = torch.zeros(shape, dtype=torch.bool)
    single = torch.zeros(shape, dtype=torch.double)
    for row, outcome in enumerate(taking_part):
        columns = [place[sample] for sample in outcome.samples]
        inside = outcome.within(eps)
        # A given image that nobody moved within the radius counts only where there is no candidate.
        chance[row, columns] = torch.where(inside, outcome.chance, -1.0)
        right[row, columns] = torch.where(inside, outcome.robust, outcome.clean)
        single[row, columns] = torch.where(inside, outcome.robust_single, outcome.clean.double())
    best = chance.argmax(0)
    columns = list(range(len(samples)))
    counted = tuple(
        taking_part[row].attack if float(chance[row, column]) >= 0 else UNTOUCHED
        for column, row in enumerate(best.tolist())
    )
    return PointWise(samples, counted, right[best, columns], single[best, columns])


def takes_part(outcome: Outcome, *, norm: str, eps: float) -> bool:
    """Whether an attack's images may lie within the radius."""
    return outcome.norm == norm and (outcome.minimal or bool(outcome.within(eps).any()))


def threats(outcomes: Iterable[Outcome]) -> list[tuple[str, float]]:
    """Every (norm, radius) that a fixed-budget attack has, in order."""
    return sorted({(outcome.norm, outcome.eps) for outcome in outcomes if outcome.eps is not None})


def worst_case(outcomes: Sequence[Outcome], *, norm: str, eps: float) -> WorstCase:
    """Figures of :func:`point_wise`, of the outcomes of one defence."""
    worst = point_wise(outcomes, norm=norm, eps=eps)
    names = sorted(o.attack for o in outcomes if takes_part(o, norm=norm, eps=eps))
    if UNTOUCHED in worst.attacks:
        names.append(UNTOUCHED)
    return WorstCase(
        outcomes[0].label,
        norm,
        eps,
        len(worst.samples),
        {name: worst.attacks.count(name) for name in names},
        accuracy(worst.right),
        mean_share(worst.single),
    )
