"""What the record of a unit holds, checked when it is read back."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

AUDIT = "audit"
"""The last unit of a run of protocol ``rigorous``: an audit of its first attacked defence under its first attack."""

Holds = Callable[[Any], bool]


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0


def _share(value: Any) -> bool:
    return _number(value) and value <= 1


def _count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def _flag(value: Any) -> bool:
    return isinstance(value, bool)


def _text(value: Any) -> bool:
    return isinstance(value, str)


_OF_IMAGES: Mapping[str, tuple[Holds, str]] = {
    "samples": (_count, "a sample id"),
    "labels": (_count, "a class"),
    "clean": (_flag, "true or false"),
    "clean_single": (_share, "a share in [0, 1]"),
    "robust": (_flag, "true or false"),
    "robust_single": (_share, "a share in [0, 1]"),
    "chance": (_share, "a probability"),
    "norm": (_number, "a finite size"),
    "violations": (_flag, "true or false"),
}
_OF_UNITS: Mapping[str, tuple[Holds, str]] = {
    "defence": (_text, "a label"),
    "attack": (_text, "a label"),
    "norm_name": (lambda value: value in ("Linf", "L2", "L1"), "Linf, L2 or L1"),
    "eps": (lambda value: value is None or _number(value), "a radius or null"),
    "forwards": (_count, "a count"),
    "backwards": (_count, "a count"),
    "paths": (
        lambda value: isinstance(value, list) and all(path in ("exact", "bpda", "transfer") for path in value),
        "a list of exact, bpda and transfer",
    ),
    "seconds": (_number, "a time"),
    "decision_seconds": (_number, "a time"),
    "differentiable": (_flag, "true or false"),
}


def attacked(done: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Records of attacked blocks: all but the audit's."""
    return {name: record for name, record in done.items() if name != AUDIT}


def problem_of(record: Mapping[str, Any]) -> str:
    """What is wrong with a :func:`mlvgm_robust.purify.units.record` read back, in words; empty if nothing is.

    >>> problem_of({"unit": "a", "samples": [0]})
    "no 'labels'"
    """
    for key in (*_OF_IMAGES, *_OF_UNITS):
        if key not in record:
            return f"no '{key}'"
    if not (isinstance(record["samples"], list) and record["samples"]):
        return "'samples' is no list of images"
    for key, (holds, kind) in _OF_IMAGES.items():
        if not isinstance(record[key], list) or len(record[key]) != len(record["samples"]):
            return f"'{key}' is no list of one entry for each image"
        for value in record[key]:
            if not holds(value):
                return f"'{key}' holds {_shown(value)}, expected {kind}"
    for key, (holds, kind) in _OF_UNITS.items():
        if not holds(record[key]):
            return f"'{key}' is {_shown(record[key])}, expected {kind}"
    return ""


def contradiction(records: Iterable[Mapping[str, Any]]) -> str:
    """Why records cannot be of one run, in words; empty if they can."""
    labels: dict[int, int] = {}
    threats: dict[tuple[str, str], tuple[str, float | None]] = {}
    seen: dict[tuple[str, str], dict[int, str]] = {}
    for record in records:
        key, threat, unit = (record["defence"], record["attack"]), (record["norm_name"], record["eps"]), record["unit"]
        if threats.setdefault(key, threat) != threat:
            return f"unit '{unit}' has another norm or radius than the others of '{key[1]}' against '{key[0]}'"
        of_attack = seen.setdefault(key, {})
        for sample, label in zip(record["samples"], record["labels"], strict=True):
            if labels.setdefault(sample, label) != label:
                return f"image {sample} is of class {label} in unit '{unit}' and of class {labels[sample]} in another"
            if sample in of_attack:
                return f"image {sample} is in unit '{of_attack[sample]}' and again in '{unit}'"
            of_attack[sample] = unit
    return ""


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}…"
