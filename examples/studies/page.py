"""Fill the tables of a study's page from the tables that `mlvgm report --markdown` writes.

    python examples/studies/page.py docs/studies/fashion-mnist-tables.md docs/studies/fashion-mnist.md

A comment in the page, on a line of its own, asks for the table below it and names its columns:

    <!-- robust: L2 0.5 = APGD-CE, L2 0.5; L2 1 = APGD-CE, L2 1 -->
    <!-- robust, short: FGSM = FGSM, L2 1 -->              without intervals
    <!-- median: DeepFool = DeepFool, minimal L2 -->       distances

Each column is a heading and the label of an attack; defences that none of them attacked are left out.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

_ASKED = re.compile(r"<!-- (robust|robust, short|median): (.+) -->")
_HEADINGS = {"robust": "robust, votes", "robust, short": "robust, votes", "median": "median"}

Cells = dict[tuple[str, str], dict[str, str]]


def cells(tables: str) -> Cells:
    """Rows of all tables with columns "defence" and "attack", by these two; tables that share a row are joined."""
    found: Cells = {}
    headings: list[str] = []
    for line in tables.splitlines():
        parts = [part.strip() for part in line.strip("| ").split(" | ")] if line.startswith("|") else []
        if not parts or not headings:
            headings = parts
        elif headings[:2] == ["defence", "attack"] and not parts[0].startswith("---"):
            row = dict(zip(headings, parts, strict=True))
            found.setdefault((row["defence"], row["attack"]), {}).update(row)
    return found


def filled(page: str, known: Cells) -> str:
    """The page with every table anew that a comment asks for."""
    lines = iter([*page.splitlines(), ""])
    return "\n".join(_filled(lines, known)).rstrip("\n") + "\n"


def _filled(lines: Iterator[str], known: Cells) -> Iterator[str]:
    for line in lines:
        yield line
        if asked := _ASKED.fullmatch(line):
            columns = dict(column.split(" = ") for column in asked[2].split("; "))
            yield ""
            yield from _table(columns, known, kind=asked[1])
            yield ""
            after = next(lines)
            while not after or after.startswith("|"):
                after = next(lines)
            yield after


def _table(columns: dict[str, str], known: Cells, *, kind: str) -> Iterator[str]:
    unknown = set(columns.values()) - {attack for _, attack in known}
    if unknown:
        raise SystemExit(f"the tables have no attack called {', '.join(sorted(unknown))}")
    clean = [] if kind == "median" else ["clean"]
    yield _line(["defence", *clean, *columns])
    yield _line(["---"] * (1 + len(clean) + len(columns)))
    for defence in dict.fromkeys(defence for defence, _ in known):
        rows = [known.get((defence, attack), {}) for attack in columns.values()]
        if any(rows):
            first = next(row for row in rows if row)
            values = [first["clean, votes"]] if clean else []
            values += [row.get(_HEADINGS[kind], "–") for row in rows]
            yield _line([defence, *(value.split(" [")[0] if kind.endswith("short") else value for value in values)])


def _line(parts: Iterable[str]) -> str:
    return f"| {' | '.join(parts)} |"


if __name__ == "__main__":
    tables, page = (Path(argument) for argument in sys.argv[1:])
    page.write_text(filled(page.read_text(), cells(tables.read_text())))
