"""What the commands print: plans and tables for people on stderr or stdout, one JSON object for machines."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any


def say(text: str) -> None:
    """A line for people, on stderr."""
    print(text, file=sys.stderr, flush=True)


def emit_json(value: object) -> None:
    """The one object a machine reads, on stdout."""
    print(json.dumps(value, indent=1, sort_keys=True))


def print_columns(rows: Sequence[Sequence[str]]) -> None:
    """Rows with aligned columns; rich would cost more than all the rest of the command."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def print_plan(plan: Mapping[str, str]) -> None:
    """Titled lines on stderr."""
    from rich.console import Console
    from rich.table import Table

    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column()
    for title, text in plan.items():
        grid.add_row(title, text)
    Console(stderr=True, highlight=False).print(grid)


def print_results(result: dict[str, Any]) -> None:
    """The tables of a run's results (:func:`mlvgm.runs.results.results`) and its notes, on stdout."""
    from mlvgm.runs.results import row_results, worst_cases

    rows, worst = row_results(result), worst_cases(result)
    same = len({row.images for row in rows}) <= 1
    which = "same images in every row" if same else "rows are on different numbers of images"
    several = len({row.attack for row in rows}) > 1
    head = ["defence", *(["attack"] if several else []), *([] if same else ["images"])]
    head += ["clean\nvotes", "robust\nvotes", "clean\nsingle draw", "robust\nsingle draw", "ms per\nimage", "s"]
    body = [
        [
            row.label,
            *([row.attack] if several else []),
            *([] if same else [str(row.images)]),
            *(e.percent() for e in (row.clean, row.robust, row.clean_single, row.robust_single)),
            f"{row.decision_milliseconds:.1f}",
            f"{row.seconds:.0f}",
        ]
        for row in rows
    ]
    print_table(f"accuracy in % with 95 % intervals, {which}", head, body, text=1 + several)
    if worst:
        head = ["defence", "threat", "attacks that count (images)", "images", "robust\nvotes", "robust\nsingle draw"]
        body = [
            [
                one.label,
                f"{one.norm} ≤ {one.eps:.4g}",
                ", ".join(f"{name} ({count})" for name, count in one.attacks.items() if count),
                str(one.images),
                one.robust.percent(),
                one.robust_single.percent(),
            ]
            for one in worst
        ]
        print_table("point-wise worst case over attacks, on the images that all of them have seen", head, body, text=3)
    for label, note in dict.fromkeys((row["label"], row["note"]) for row in result["rows"] if row["note"]):
        print(f"{label}: {note}")


def print_table(title: str, head: Sequence[str], body: Sequence[Sequence[str]], *, text: int = 1) -> None:
    """A table on stdout; the first ``text`` columns are words, the others figures."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left")
    for number, name in enumerate(head):
        table.add_column(name, justify="left" if number < text else "right", no_wrap=number >= text)
    for row in body:
        table.add_row(*map(Text, row))  # labels are no markup
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=120)
    console.print(table)


@contextmanager
def progress_bar(title: str, *, shown: bool = True) -> Iterator[Callable[[int, int, str], None]]:
    """A bar on stderr, only on a terminal; gives ``update(done, total, message)``."""
    if not (shown and sys.stderr.isatty()):
        yield lambda done, total, message: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, TextColumn("{task.fields[message]}"), console=Console(stderr=True)) as progress:
        task = progress.add_task(title, total=None, message="")

        def update(done: int, total: int, message: str) -> None:
            progress.update(task, completed=done, total=total, message=message)

        yield update


def json_ready(value: Any) -> Any:
    """NaN has no place in JSON: it becomes null."""
    if isinstance(value, dict):
        return {key: json_ready(item) for key, item in value.items()}
    if isinstance(value, list):
        return [json_ready(item) for item in value]
    return None if isinstance(value, float) and value != value else value
