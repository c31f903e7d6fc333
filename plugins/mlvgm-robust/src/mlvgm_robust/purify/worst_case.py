"""Point-wise worst case over attacks: per image, the attack most likely to succeed counts with its own score."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mlvgm.statistics import Estimate, mean_share
from mlvgm_robust.purify.outcomes import Outcome, accuracy, on_samples

UNTOUCHED = "no attack"
_UNMOVED = -1.0  # below every chance, above mlvgm_robust.purify.outcomes.REFUSED


@dataclass(frozen=True)
class PointWise:
    """The worst case of each image within a radius.

    Args:
        samples: sample ids, ascending; the images that all of the attacks have seen.
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
        images: how many images all of the attacks have seen.
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


def point_wise(
    outcomes: Iterable[Outcome], *, norm: str, eps: float, samples: tuple[int, ...] | None = None
) -> PointWise:
    """Per image, the attack with the highest chance counts with its own score; the first by name on ties.

    The chance is estimated on selection draws, which the score has not seen. Taking the worst *score* instead would
    count luck: 20 copies of an attack that does nothing would break a random defence.

    An image within a smaller radius is within a larger one too, so attacks of smaller radii take part. A minimal-norm
    attack takes part at every radius, with the images whose distance it does not exceed.

    Only images that all attacks taking part have seen count: an image that a strong attack was spared is no evidence
    against that attack, and would stand beside those it broke.

    Args:
        outcomes: those of one defence, in any order.
        norm: only attacks in this norm take part.
        eps: radius.
        samples: ids of images that all have seen; by default those that all taking part have.
    """
    taking_part = sorted((o for o in outcomes if takes_part(o, norm=norm, eps=eps)), key=lambda o: o.attack)
    samples = seen_by_all(taking_part) if samples is None else samples
    if not (samples and taking_part):
        return PointWise((), (), torch.zeros(0, dtype=torch.bool), torch.zeros(0, dtype=torch.double))

    def figures(of_attack: Callable[[Outcome], Tensor], of_given: Callable[[Outcome], Tensor]) -> Tensor:
        found = [(o, torch.where(o.within(eps), of_attack(o), of_given(o))) for o in taking_part]
        return torch.stack([on_samples(o.samples, values, samples) for o, values in found])

    # A given image that nobody moved within the radius counts only where there is no candidate.
    chance = figures(lambda o: o.chance, lambda o: torch.full_like(o.chance, _UNMOVED))
    right = figures(lambda o: o.robust, lambda o: o.clean)
    single = figures(lambda o: o.robust_single, lambda o: o.clean.double())
    best, columns = chance.argmax(0), torch.arange(len(samples))
    counted = tuple(
        taking_part[row].attack if float(chance[row, column]) != _UNMOVED else UNTOUCHED
        for column, row in enumerate(best.tolist())
    )
    return PointWise(samples, counted, right[best, columns], single[best, columns])


def seen_by_all(outcomes: Sequence[Outcome]) -> tuple[int, ...]:
    """Sample ids that every one of ``outcomes`` has, ascending."""
    return tuple(sorted(set.intersection(*(set(outcome.samples) for outcome in outcomes)))) if outcomes else ()


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
