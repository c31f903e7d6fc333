"""The tables of a run's results as a terminal shows them."""

from __future__ import annotations

from typing import Any

from mlvgm.tables import Column, Table
from mlvgm_robust.purify.results import row_results, worst_cases


def printed(result: dict[str, Any]) -> tuple[Table, ...]:
    """The tables of :func:`mlvgm_robust.purify.results.results`; none without rows."""
    rows, worst = row_results(result), worst_cases(result)
    if not rows:
        return ()
    same = len({row.images for row in rows}) <= 1
    which = "same images in every row" if same else "rows are on different numbers of images"
    several = len({row.attack for row in rows}) > 1
    columns = (
        Column("defence", words=True),
        *([Column("attack", words=True)] if several else []),
        *([] if same else [Column("images")]),
        Column("clean\nvotes"),
        Column("robust\nvotes"),
        Column("clean\nsingle draw", always=False),
        Column("robust\nsingle draw", always=False),
        Column("ms per\nimage", always=False),
        Column("s", always=False),
    )
    body = tuple(
        (
            row.label,
            *([row.attack] if several else []),
            *([] if same else [str(row.images)]),
            *(one.percent() for one in (row.clean, row.robust, row.clean_single, row.robust_single)),
            f"{row.decision_milliseconds:.1f}",
            f"{row.seconds:.0f}",
        )
        for row in rows
    )
    tables = [Table(f"accuracy in % with 95 % intervals, {which}", "", columns, body)]
    if worst:
        columns = (
            Column("defence", words=True),
            Column("threat"),
            Column("attacks that count (images)", words=True, always=False),
            Column("images", always=False),
            Column("robust\nvotes"),
            Column("robust\nsingle draw", always=False),
        )
        body = tuple(
            (
                one.label,
                f"{one.norm} ≤ {one.eps:.4g}",
                ", ".join(f"{name} ({n})" for name, n in one.attacks.items() if n),
                str(one.images),
                one.robust.percent(),
                one.robust_single.percent(),
            )
            for one in worst
        )
        title = "point-wise worst case over attacks, on the images that all of them have seen"
        tables.append(Table(title, "", columns, body))
    return tuple(tables)
