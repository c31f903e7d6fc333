"""Records: one line of JSON per finished work unit, appended and synced, never rewritten."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from mlvgm.errors import InputError


def append(path: Path, record: Mapping[str, Any]) -> None:
    """Append one record and wait until it is on the disk.

    A line that a killed process left unfinished is cut off first, so that it never runs into the next one.
    """
    line = json.dumps(record, sort_keys=True) + "\n"
    with path.open("ab+") as file:
        end = file.seek(0, os.SEEK_END)
        if end:
            file.seek(end - 1)
            if file.read(1) != b"\n":
                file.seek(0)
                file.truncate(file.read().rfind(b"\n") + 1)
        file.seek(0, os.SEEK_END)
        file.write(line.encode())
        file.flush()
        os.fsync(file.fileno())


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
    lines = path.read_bytes().split(b"\n")
    for number, line in enumerate(lines[:-1], start=1):
        try:
            record = json.loads(line)
            wrong = "no JSON object with a 'unit'" if not _is_of_a_unit(record) else problem(record)
        except ValueError as error:
            wrong = str(error)
        if wrong:
            raise InputError(f"{path}: line {number} is not a record ({wrong})", hint="was the file edited?")
        yield record


def _is_of_a_unit(record: Any) -> bool:
    return isinstance(record, dict) and isinstance(record.get("unit"), str)
