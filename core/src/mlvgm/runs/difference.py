"""What differs between two runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlvgm.configuration.settings import flatten
from mlvgm.runs.stored import Stored, stored

_ABSENT = "–"
# How long something took is never the same.
_CLOCKS = ("seconds", "decision_seconds", "unit", "shard", "configuration")


def difference(first: Path, second: Path) -> list[tuple[str, str, str]]:
    """What differs between two runs: its name, and what it is in each.

    Options by dotted key, versions and files by name, and finished units of the same name whose records differ in
    anything but how long they took.

    Raises:
        InputError: one of them is no run, or damaged.
    """
    one, two = stored(first), stored(second)
    rows = []
    for read in (_options, _versions, _files, _units):
        left, right = read(one), read(two)
        for key in dict.fromkeys((*left, *right)):
            pair = left.get(key, _ABSENT), right.get(key, _ABSENT)
            if pair[0] != pair[1]:
                rows.append((key, _shown(pair[0]), _shown(pair[1])))
    return rows


def _options(run: Stored) -> Mapping[str, Any]:
    tree = run.config.model_dump(mode="json")
    return flatten(_lists_as_mappings(tree))


def _lists_as_mappings(value: Any) -> Any:
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        value = {str(item.get("label", number)): item for number, item in enumerate(value)}
    return {key: _lists_as_mappings(item) for key, item in value.items()} if isinstance(value, dict) else value


def _versions(run: Stored) -> Mapping[str, Any]:
    found = run.run.read_json("environment.json")
    return flatten({key: found[key] for key in ("python", "platform", "versions", "plugins") if key in found})


def _files(run: Stored) -> Mapping[str, Any]:
    return {f"file {name}": digest[:12] for name, digest in run.run.read_json("inputs.json").items()}


def _units(run: Stored) -> Mapping[str, Any]:
    return {
        f"unit {name}, {key}": value
        for name, record in run.records.items()
        for key, value in record.items()
        if key not in _CLOCKS
    }


def _shown(value: Any, most: int = 60) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= most else f"{text[:most]}…"
