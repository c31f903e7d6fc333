"""What the commands print: plans and tables for people on stderr or stdout, one JSON object for machines."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from mlvgm.cli.layout import Column, aligned, table, titled, width_of, wrapped


def say(text: str) -> None:
    """Lines for people, on stderr."""
    if text:
        print("\n".join(wrapped(text, width_of(sys.stderr))), file=sys.stderr, flush=True)


def tell(text: str) -> None:
    """Lines for people, on stdout."""
    print("\n".join(wrapped(text, width_of(sys.stdout), indent="  ")))


def emit_json(value: object) -> None:
    """The one object a machine reads, on stdout."""
    print(json.dumps(value, indent=1, sort_keys=True))


def print_columns(rows: Sequence[Sequence[str]]) -> None:
    """Rows with aligned columns; rich would cost more than all the rest of the command."""
    print(*aligned(rows, width_of(sys.stdout)), sep="\n")


def print_plan(plan: Mapping[str, str]) -> None:
    """Titled lines on stderr."""
    print(*titled(plan, width_of(sys.stderr)), sep="\n", file=sys.stderr, flush=True)


def print_results(result: dict[str, Any]) -> None:
    """The tables of a run's results (:func:`mlvgm.runs.results.results`) and its notes, on stdout."""
    from mlvgm.runs.results import row_results, worst_cases

    rows, worst = row_results(result), worst_cases(result)
    same = len({row.images for row in rows}) <= 1
    which = "same images in every row" if same else "rows are on different numbers of images"
    several = len({row.attack for row in rows}) > 1
    columns = [
        Column("defence", [row.label for row in rows], words=True),
        *([Column("attack", [row.attack for row in rows], words=True)] if several else []),
        *([] if same else [Column("images", [str(row.images) for row in rows])]),
        Column("clean\nvotes", [row.clean.percent() for row in rows]),
        Column("robust\nvotes", [row.robust.percent() for row in rows]),
        Column("clean\nsingle draw", [row.clean_single.percent() for row in rows], always=False),
        Column("robust\nsingle draw", [row.robust_single.percent() for row in rows], always=False),
        Column("ms per\nimage", [f"{row.decision_milliseconds:.1f}" for row in rows], always=False),
        Column("s", [f"{row.seconds:.0f}" for row in rows], always=False),
    ]
    print_table(f"accuracy in % with 95 % intervals, {which}", columns)
    if worst:
        counting = [", ".join(f"{name} ({n})" for name, n in one.attacks.items() if n) for one in worst]
        columns = [
            Column("defence", [one.label for one in worst], words=True),
            Column("threat", [f"{one.norm} ≤ {one.eps:.4g}" for one in worst]),
            Column("attacks that count (images)", counting, words=True, always=False),
            Column("images", [str(one.images) for one in worst], always=False),
            Column("robust\nvotes", [one.robust.percent() for one in worst]),
            Column("robust\nsingle draw", [one.robust_single.percent() for one in worst], always=False),
        ]
        print_table("point-wise worst case over attacks, on the images that all of them have seen", columns)
    for label, note in dict.fromkeys((row["label"], row["note"]) for row in result["rows"] if row["note"]):
        tell(f"{label}: {note}")


def print_table(title: str, columns: Sequence[Column]) -> None:
    """A table on stdout."""
    print(*table(title, columns, width_of(sys.stdout)), "", sep="\n")


def json_ready(value: Any) -> Any:
    """NaN has no place in JSON: it becomes null."""
    if isinstance(value, dict):
        return {key: json_ready(item) for key, item in value.items()}
    if isinstance(value, list):
        return [json_ready(item) for item in value]
    return None if isinstance(value, float) and value != value else value
