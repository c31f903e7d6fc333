"""Tables as plain text cells, which terminals, HTML and Markdown show."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Args:
        head: its title; may have several lines.
        meaning: what its figures mean, for those who read a report.
        words: its cells are words, which may be wrapped; else figures, aligned at the right.
        always: it is shown on narrow terminals too.
    """

    head: str
    meaning: str = ""
    words: bool = False
    always: bool = True

    @property
    def title(self) -> str:
        """The head in one line."""
        return " ".join(self.head.split())


@dataclass(frozen=True)
class Table:
    """A table.

    Args:
        title: heading.
        explanation: what its figures have in common; may be empty.
        columns: titles and meanings.
        body: rows of cells; the first cell of each names it.
    """

    title: str
    explanation: str
    columns: tuple[Column, ...]
    body: tuple[tuple[str, ...], ...]

    @property
    def head(self) -> tuple[str, ...]:
        return tuple(column.title for column in self.columns)


def markdown(table: Table, *, level: int = 2) -> str:
    """The table in Markdown.

    >>> print(markdown(Table("Means", "", (Column("image"), Column("mean", "of all pixels")), (("0", "0.2"),))))
    ## Means
    <BLANKLINE>
    | image | mean |
    | --- | --- |
    | 0 | 0.2 |
    <BLANKLINE>
    * mean: of all pixels
    <BLANKLINE>
    """
    lines = [f"{'#' * level} {table.title}", "", *([table.explanation, ""] if table.explanation else [])]
    lines += [_line(table.head), "|" + " --- |" * len(table.head), *map(_line, table.body), ""]
    meanings = [f"* {column.title}: {column.meaning}" for column in table.columns if column.meaning]
    return "\n".join([*lines, *meanings, *([""] if meanings else [])])


def _line(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
