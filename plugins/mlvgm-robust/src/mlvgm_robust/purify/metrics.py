"""Short answers from the results of a run (``metrics.json``), as plain values and without torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def worst_robust(result: Mapping[str, Any], label: str) -> float:
    """The lowest robust accuracy of a defence: its worst case, where attacks share a radius.

    Without any radius it is the lowest accuracy at whatever distance.
    """
    own = [row for row in result["rows"] if row["label"] == label]
    worst = [case for case in result["worst"] if case["label"] == label]
    fixed = [row for row in own if row["eps"] is not None]
    return min(float(one["robust"]["value"]) for one in worst or fixed or own)


def in_short(result: Mapping[str, Any]) -> tuple[float, float] | None:
    """Clean and robust accuracy of the first row; of a choice of alphas, those of the chosen. None without rows."""
    if not result.get("rows"):
        return None
    first = result["rows"][0]
    if "worst" in result:
        return float(first["clean"]["value"]), worst_robust(result, first["label"])
    return float(first["clean"]["value"]), float((first["adaptive"] or first["transferred"])["value"])
