"""Results of a run: figures of each defence under each attack, from the records of its finished units."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import TypeAdapter

from mlvgm_robust.purify.comparison import as_plain
from mlvgm_robust.purify.config import PurifyConfig
from mlvgm_robust.purify.outcomes import Outcome, by_attack
from mlvgm_robust.purify.plan import row_note
from mlvgm_robust.purify.units import RowResult, summarise
from mlvgm_robust.purify.worst_case import WorstCase


@dataclasses.dataclass(frozen=True)
class Figures:
    """One defence under one attack.

    Args:
        row: its figures.
        note: what must be said wherever they appear.
        outcome: the same per image.
    """

    row: RowResult
    note: str
    outcome: Outcome


def figures(config: PurifyConfig, records: Iterable[Mapping[str, Any]]) -> list[Figures]:
    """Figures of all finished units: each defence under each of its attacks, in the order of the configuration."""
    grouped = by_attack(records)
    found = []
    for row in config.rows:
        for attack in config.attacks:
            if own := grouped.get((row.label, attack.label)):
                result = summarise(own)
                found.append(Figures(result, row_note(row, result), Outcome.of(own)))
    return found


def stranger(config: PurifyConfig, grouped: Mapping[tuple[str, str], Iterable[Mapping[str, Any]]]) -> str:
    """A finished unit, of those by (defence, attack), that a configuration does not have, in words; empty if none."""
    attacked, limits = config.attacked(), {row.label: row.limit for row in config.attacks}
    for (defence, attack), records in grouped.items():
        most = min(limit for limit in (config.limit, limits.get(attack), math.inf) if limit is not None)
        for record in records:
            if defence not in attacked.get(attack, ()):
                what = f"of '{defence}' under '{attack}'"
            elif max(record["samples"]) >= most:
                what = f"of image {max(record['samples'])}"
            else:
                continue
            return f"unit '{record['unit']}' is {what}, which is not in the run's configuration"
    return ""


def results(config: PurifyConfig, done: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """:func:`figures` of the finished units ``done`` and what is compared between them, as plain values."""
    found = figures(config, done.values())
    rows = [dataclasses.asdict(one.row) | {"note": one.note} for one in found]
    return {"schema": 2, "partial": _partial(config), "rows": rows} | as_plain([one.outcome for one in found])


def _partial(config: PurifyConfig) -> bool:
    """Whether the images are fewer than those of the run's budget."""
    preset = config.BUDGETS[config.budget]["limit"]
    assert isinstance(preset, int)
    return config.limit is not None and config.limit < preset


def row_results(result: dict[str, Any]) -> list[RowResult]:
    """Rows of :func:`results` as dataclasses again."""
    fields = {field.name for field in dataclasses.fields(RowResult)}
    rows = [{key: value for key, value in row.items() if key in fields} for row in result["rows"]]
    return TypeAdapter(list[RowResult]).validate_python(rows)


def worst_cases(result: dict[str, Any]) -> list[WorstCase]:
    """Worst cases of :func:`results` as dataclasses again."""
    return TypeAdapter(list[WorstCase]).validate_python(result["worst"])
