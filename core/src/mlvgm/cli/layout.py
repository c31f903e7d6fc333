"""Text in lines of a terminal: nothing is cut off, and no word is broken.

``width`` is in characters; None stands for no limit, as in a pipe.
"""

from __future__ import annotations

import os
import shlex
import shutil
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, TextIO

WIDE = 110  # from here on tables show all their columns
_NARROWEST = 20
_READABLE = 30  # a column of sentences
_GAP = "  "
_COMMAND = "mlvgm run purify "
_GOES_ON = " \\"


def width_of(stream: TextIO) -> int | None:
    """Characters in a line of the terminal behind ``stream``; None where there is none."""
    return shutil.get_terminal_size().columns if stream.isatty() or "COLUMNS" in os.environ else None


def wrapped(text: str, width: int | None, *, indent: str = "") -> list[str]:
    """The lines of ``text``; those that go on begin with ``indent``. A line that is a command stays one."""
    lines: list[str] = []
    for line in text.splitlines():
        if width is None or len(line) <= width:
            lines.append(line)
        elif line.startswith(_COMMAND):
            lines += _command(line, width)
        else:
            lines += textwrap.wrap(
                line, max(width, _NARROWEST), subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
            )
    return lines


def _command(line: str, width: int) -> Iterator[str]:
    """A command in lines that a shell reads as one; an option stays beside its value."""
    units: list[str] = []
    for word in map(shlex.quote, shlex.split(line)):
        if word.startswith("--") or not units:
            units.append(word)
        else:
            units[-1] += f" {word}"
    now, *others = units
    for unit in others:
        if len(now) + 1 + len(unit) + len(_GOES_ON) > width:
            yield now + _GOES_ON
            now = f"    {unit}"
        else:
            now += f" {unit}"
    yield now


def titled(items: Mapping[str, str], width: int | None) -> list[str]:
    """Titles, and beside each its text."""
    left = max(map(len, items), default=0)
    lines = []
    for title, text in items.items():
        room = None if width is None else width - left - len(_GAP)
        for number, line in enumerate(wrapped(text, room) or [""]):
            lines.append(f"{title if number == 0 else '':<{left}}{_GAP}{line}".rstrip())
    return lines


def aligned(rows: Sequence[Sequence[str]], width: int | None) -> list[str]:
    """Rows with aligned columns, the last of them wrapped; where it has no room, it stands below the others."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    left = sum(widths[:-1]) + len(_GAP) * (len(widths) - 1)
    if width is not None and left + min(widths[-1], _READABLE) > width:
        lines = []
        for *cells, last in rows:
            lines += wrapped(_GAP.join(cell for cell in cells if cell), width, indent=4 * " ")
            lines += [f"    {line}" for line in wrapped(last, width - 4)]
        return lines
    lines = []
    for *cells, last in rows:
        head = "".join(cell.ljust(size) + _GAP for cell, size in zip(cells, widths, strict=False))
        for number, line in enumerate(wrapped(last, None if width is None else width - left) or [""]):
            lines.append(((head if number == 0 else " " * left) + line).rstrip())
    return lines


class Column(NamedTuple):
    """A column of a table.

    Args:
        head: may have several lines.
        cells: one a row.
        words: its cells are words, which may be wrapped; else figures, aligned at the right.
        always: it is shown in narrow tables too.
    """

    head: str
    cells: Sequence[str]
    words: bool = False
    always: bool = True

    @property
    def widest(self) -> int:
        """Its width where nothing is wrapped."""
        return max(map(len, (*self.head.splitlines(), *self.cells)))

    @property
    def narrowest(self) -> int:
        """The least width at which no word is broken."""
        if not self.words:
            return self.widest
        return max((len(word) for text in (self.head, *self.cells) for word in text.split()), default=1)


def table(title: str, columns: Sequence[Column], width: int | None) -> list[str]:
    """A table with a title; below :data:`WIDE` characters without the columns that are not shown ``always``."""
    shown = [column for column in columns if column.always or width is None or width >= WIDE]
    widths = _widths(shown, width)
    heads = [_cell(column.head, room) for column, room in zip(shown, widths, strict=True)]
    lines = [*wrapped(title, width), *_rows(shown, heads, widths, bottom=True)]
    lines.append("─" * (sum(widths) + len(_GAP) * (len(widths) - 1)))
    for row in range(len(shown[0].cells)):
        cells = [_cell(column.cells[row], room) for column, room in zip(shown, widths, strict=True)]
        lines += _rows(shown, cells, widths)
    return lines


def _cell(text: str, width: int) -> list[str]:
    return wrapped(text, width, indent="  " if width > _NARROWEST else "") or [""]


def _widths(columns: Sequence[Column], width: int | None) -> list[int]:
    """The width of each column: as wide as its text, or what figures leave, shared by the columns of words."""
    widths = [column.widest for column in columns]
    if width is None:
        return widths
    over = sum(widths) + len(_GAP) * (len(widths) - 1) - width
    while over > 0:
        able = [i for i, column in enumerate(columns) if column.words and widths[i] > column.narrowest + 2]
        if not able:
            break
        widest = max(able, key=lambda i: widths[i])
        widths[widest] -= 1
        over -= 1
    return widths


def _rows(
    columns: Sequence[Column], cells: Sequence[list[str]], widths: Sequence[int], *, bottom: bool = False
) -> list[str]:
    """The lines of one row of the table, whose cells may have several."""
    height = max(map(len, cells))
    blank = [""] * height
    filled = [(blank[len(cell) :] + cell) if bottom else (cell + blank[len(cell) :]) for cell in cells]
    lines = []
    for number in range(height):
        parts = [
            cell[number].ljust(room) if column.words else cell[number].rjust(room)
            for column, cell, room in zip(columns, filled, widths, strict=True)
        ]
        lines.append(_GAP.join(parts).rstrip())
    return lines
