"""Per-image outcomes of one defence under one attack, pooled from the records of its units."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mlvgm.statistics import Estimate, wilson
from mlvgm_robust.evaluation.admissible import ABSOLUTE, RELATIVE, shown

REFUSED = -2.0
"""Below every chance: any other attack's image tells more than one that was refused."""


@dataclass(frozen=True)
class Outcome:
    """What one attack did to one defence, image by image, in the order of the sample ids.

    Args:
        label: the defence's row.
        attack: the attack's label.
        norm: norm of the perturbations.
        eps: their largest size; None for a minimal-norm attack.
        samples: sample ids, ascending.
        clean: (n,) bool, one decision about the given image is right.
        robust: (n,) bool, one decision about the adversarial image is right, and it was not refused.
        robust_single: (n,) share of right single draws about the adversarial image; 0 where it was refused.
        chance: (n,) probability that a decision about it is wrong, estimated on selection draws; :data:`REFUSED` where
            a refused candidate left a given image that is right.
        distance: (n,) size of the perturbation in ``norm``.
    """

    label: str
    attack: str
    norm: str
    eps: float | None
    samples: tuple[int, ...]
    clean: Tensor
    robust: Tensor
    robust_single: Tensor
    chance: Tensor
    distance: Tensor

    @classmethod
    def of(cls, records: Sequence[Mapping[str, Any]]) -> Outcome:
        """The outcome that the records of one (defence, attack) make, in whatever order they come."""

        def pooled(key: str) -> list[Any]:
            return [value for record in records for value in record[key]]

        samples = pooled("samples")
        order = sorted(range(len(samples)), key=samples.__getitem__)

        def ordered(key: str, dtype: torch.dtype) -> Tensor:
            return torch.tensor(pooled(key), dtype=dtype)[order]

        first, refused = records[0], ordered("violations", torch.bool)
        robust, chance = ordered("robust", torch.bool), ordered("chance", torch.double)
        return cls(
            first["defence"],
            first["attack"],
            first["norm_name"],
            first["eps"],
            tuple(sorted(samples)),
            ordered("clean", torch.bool),
            shown(robust, refused),
            shown(ordered("robust_single", torch.double), refused),
            chance.masked_fill(refused & robust, REFUSED),
            ordered("norm", torch.double),
        )

    @property
    def minimal(self) -> bool:
        """Whether the attack looks for the nearest success instead of the worst within a radius."""
        return self.eps is None

    def within(self, eps: float) -> Tensor:
        """Which adversarial images lie within ``eps``, (n,) bool."""
        if self.eps is not None:
            return torch.full((len(self.samples),), self.eps <= eps * (1 + RELATIVE))
        return self.distance <= eps * (1 + RELATIVE) + ABSOLUTE

    def distances(self) -> Tensor:
        """Distance at which each image is broken, (n,): 0 where it is misclassified anyway, inf where attacks fail.

        An image is broken if the decision about its adversarial image is wrong. Counting it as soon as either that or
        the decision about the given image is wrong would count the luck of two draws of a random defence.
        """
        broken = torch.where(self.clean, self.distance, torch.zeros_like(self.distance))
        return torch.where(self.robust, torch.inf, broken)


def by_attack(records: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], list[Mapping[str, Any]]]:
    """The records of each (defence, attack) in the order of their units, whichever worker was first."""
    grouped: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for record in sorted(records, key=lambda record: str(record["unit"])):
        grouped.setdefault((record["defence"], record["attack"]), []).append(record)
    return grouped


def accuracy(right: Tensor) -> Estimate:
    """Share of right decisions (n,) bool with its Wilson interval."""
    return wilson(int(right.sum()), len(right))


def on_samples(samples: Sequence[int], values: Tensor, wanted: Sequence[int]) -> Tensor:
    """The entries of ``values`` (n,), which belong to ``samples``, that belong to ``wanted``, in that order."""
    place = {sample: number for number, sample in enumerate(samples)}
    return values[[place[sample] for sample in wanted]]
