"""Records: one line of JSON per finished work unit, appended and synced, never rewritten."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from mlvgm.errors import InputError
from mlvgm.files import append_line


def append(path: Path, record: Mapping[str, Any]) -> None:
    """Append one record and wait until it is on the disk."""
    append_line(path, json.dumps(record, sort_keys=True))


def read(path: Path, *, problem: Callable[[Mapping[str, Any]], str] = lambda record: "") -> Iterator[dict[str, Any]]:
    """Finished records, oldest first; an unfinished last line is passed over.

    Args:
        path: the file.
        problem: what is wrong with a record, in words; empty if nothing is.

    Raises:
        InputError: a line before the last is no JSON object of a unit, or has a problem.
    """
    if not path.exists():
        return
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise InputError(f"cannot read records '{path}': {error.strerror}", hint="restore the file") from None
    for number, line in enumerate(lines[:-1], start=1):
        try:
            record = json.loads(line)
            wrong = "no JSON object with a 'unit'" if not _is_of_a_unit(record) else problem(record)
        except (ValueError, RecursionError) as error:
            wrong = str(error)
        if wrong:
            raise InputError(f"{path}: line {number} is not a record ({wrong})", hint="was the file edited?")
        yield record


def _is_of_a_unit(record: Any) -> bool:
    return isinstance(record, dict) and isinstance(record.get("unit"), str)
