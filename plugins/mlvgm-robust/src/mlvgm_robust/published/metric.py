"""The published metric: the smallest successful L2 distance of each image, and robust accuracy at given bounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from mlvgm.statistics import Estimate, wilson

FAILED = 100.0
"""Distance of an image on which the attack failed."""

NOTE = "published distance"
"""What the published attacks note of each image: the distance they decided on themselves."""


def distances(record: Mapping[str, Any]) -> list[float]:
    """The published list of one work unit: 0 where misclassified clean, 100 where the attack failed, else L2.

    With success as published these are the attack's own decisions, each made once; fixed, or of any other attack, a
    success is what the harness found on fresh draws.

    Args:
        record: as ``records.jsonl`` of a run has it.

    >>> distances({"clean": [True, True, False], "robust": [False, True, False], "norm": [0.5, 0.0, 0.0]})
    [0.5, 100.0, 0.0]
    """
    scored = [FAILED if right else norm for right, norm in zip(record["robust"], record["norm"], strict=True)]
    own = record.get("notes", {}).get(NOTE, scored)
    return [length if right else 0.0 for right, length in zip(record["clean"], own, strict=True)]


def robust_accuracy(found: Sequence[float], bounds: Sequence[float]) -> list[Estimate]:
    """Share of images whose distance is above each bound, with its Wilson 95 % interval.

    >>> [estimate.value for estimate in robust_accuracy([0.0, 0.4, 1.5, 100.0], (0.5, 2.0))]
    [0.5, 0.25]
    """
    return [wilson(sum(length > bound for length in found), len(found)) for bound in bounds]


def table(records: Sequence[Mapping[str, Any]], bounds: Mapping[str, Sequence[float]]) -> list[dict[str, Any]]:
    """The published figures of a run as plain values, one entry for each defence under each attack.

    Args:
        records: of the run's units, in any order.
        bounds: at which robust accuracy is reported, by the attack's label.
    """
    grouped: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for record in sorted(records, key=lambda record: str(record["unit"])):
        grouped.setdefault((record["defence"], record["attack"]), []).append(record)
    rows = []
    for (defence, attack), units in grouped.items():
        found = [length for unit in units for length in distances(unit)]
        right = [value for unit in units for value in unit["clean"]]
        accuracies = robust_accuracy(found, bounds[attack])
        rows.append(
            {
                "defence": defence,
                "attack": attack,
                "clean": sum(right) / len(right),
                "distances": found,
                "robust": {
                    f"{bound:g}": asdict(accuracy) for bound, accuracy in zip(bounds[attack], accuracies, strict=True)
                },
            }
        )
    return rows
