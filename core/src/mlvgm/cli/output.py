"""What the commands print: plans and tables for people on stderr or stdout, one JSON object for machines."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mlvgm.cli.layout import Column, aligned, table, titled, width_of, wrapped

if TYPE_CHECKING:
    from mlvgm.protocols.job import Result


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


def print_result(result: Result) -> None:
    """The tables of a result and its notes, on stdout."""
    for one in result.tables:
        cells = list(zip(*one.body, strict=True))
        columns = [Column(c.head, values, c.words, c.always) for c, values in zip(one.columns, cells, strict=True)]
        print_table(one.title, columns)
    for note in result.notes:
        tell(note)


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
