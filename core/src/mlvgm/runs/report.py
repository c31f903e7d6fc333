"""The report of one or many runs: one self-contained HTML page, its figures as PNG, its tables as Markdown."""

from __future__ import annotations

import base64
import importlib.util
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlvgm.errors import ConfigError, InputError
from mlvgm.files import check_writable, write_bytes, write_text
from mlvgm.runs.config import PurifyConfig
from mlvgm.runs.plan import small_print
from mlvgm.runs.png import as_png
from mlvgm.runs.report_tables import TextTable, markdown, tables
from mlvgm.runs.results import finished_units
from mlvgm.runs.rundir import RunDirectory
from mlvgm.runs.sections import Section, Source, make_sections

if TYPE_CHECKING:
    from mlvgm.runs.report_charts import Picture

_NEEDS = ("matplotlib", "jinja2")


@dataclass(frozen=True)
class Image:
    """A finished :class:`~mlvgm.runs.report_charts.Picture`."""

    name: str
    alt: str
    caption: str
    png: bytes

    @property
    def data(self) -> str:
        return base64.b64encode(self.png).decode()


@dataclass(frozen=True)
class Part:
    """A section with its tables and figures, ready to be shown, and what is wrong with the files they are made from."""

    section: Section
    tables: tuple[TextTable, ...]
    images: tuple[Image, ...]
    problems: tuple[str, ...] = ()

    def notes(self) -> list[tuple[str, str]]:
        """What must be said of each defence wherever its figures appear."""
        return list(dict.fromkeys((row.label, note) for row, note in self.section.rows if note))


def check_report_installed() -> None:
    """Refuse to make a report where the extra is missing.

    Raises:
        ConfigError: matplotlib or jinja2 is not installed.
    """
    missing = [name for name in _NEEDS if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(f"reports need {' and '.join(missing)}", hint='pip install "mlvgm-core[report]"')


def write_report(run: RunDirectory, config: PurifyConfig, result: Mapping[str, Any]) -> Path | None:
    """Write ``report.html`` and the folder ``figures`` into a run.

    Args:
        run: where to.
        config: of the run.
        result: what :func:`mlvgm.runs.results.results` gave; without rows there is nothing to report.

    Returns:
        the page, or None where the extra ``mlvgm-core[report]`` is not installed.
    """
    if not result["rows"] or any(importlib.util.find_spec(name) is None for name in _NEEDS):
        return None
    parts = make_parts([Source(run, config, finished_units(run), run.state)])
    page = run.path / "report.html"
    write_text(page, html_page(parts))
    write_figures(run.path / "figures", parts)
    return page


def make_parts(sources: Sequence[Source]) -> list[Part]:
    """Tables and figures of runs, merged where they are on the same images."""
    from mlvgm.runs.report_charts import charts
    from mlvgm.runs.report_images import panels

    parts = []
    for number, section in enumerate(make_sections(sources), start=1):
        mark = "" if number == 1 else f"section-{number}-"
        shown, problems = panels(section)
        images = tuple(_image(picture, mark) for picture in (*charts(section), *shown))
        parts.append(Part(section, tuple(tables(section)), images, _at_most(problems)))
    return parts


def _at_most(problems: Sequence[str], most: int = 5) -> tuple[str, ...]:
    more = len(problems) - most
    return (*problems[:most], f"and {more} more") if more > 0 else tuple(problems)


def _image(picture: Picture, mark: str) -> Image:
    return Image(mark + picture.name, picture.alt, picture.caption, as_png(picture.figure))


def check_outputs(page: Path, tables: Path | None, figures: Path | None, runs: Sequence[RunDirectory]) -> None:
    """Refuse places where a report cannot be written, or would replace something that is no report.

    Raises:
        ConfigError: two of them are the same.
        InputError: one is a folder, cannot be written to, or is a file that makes up a run.
    """
    places = [path for path in (page, tables, figures) if path is not None]
    for path in places:
        if [os.path.realpath(other) for other in places].count(os.path.realpath(path)) > 1:
            raise ConfigError(f"'{path}' is given for two outputs", hint="name a place for each")
        if any(run.owns(path) for run in runs):
            raise InputError(f"'{path}' is a file or folder of a run, which a report does not replace")
    for file in (page, tables):
        if file is not None:
            check_writable(file.parent)
            try:
                folder = file.is_dir()
            except OSError as error:
                raise InputError(f"cannot write to '{file}': {error.strerror}") from None
            if folder:
                raise InputError(f"cannot write to '{file}': it is a folder", hint="name a file in it")
    if figures is not None:
        check_writable(figures)


def figure_names(parts: Sequence[Part]) -> list[str]:
    """Names of the files that :func:`write_figures` writes."""
    return [f"{image.name}.png" for part in parts for image in part.images]


def write_figures(folder: Path, parts: Sequence[Part]) -> list[Path]:
    """Every figure as PNG in ``folder``, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for part in parts:
        for image in part.images:
            path = folder / f"{image.name}.png"
            write_bytes(path, image.png)
            written.append(path)
    return written


def markdown_tables(parts: Sequence[Part]) -> str:
    """All tables in Markdown, with remarks, notes and the state of unfinished runs."""
    blocks = []
    for part in parts:
        section = part.section
        blocks.append(f"## {section.title}\n")
        blocks += [f"**{text}**\n" for text in _warnings(part)]
        blocks += [markdown(table, level=3) for table in part.tables]
        notes = part.notes()
        if notes:
            blocks.append("\n".join(f"* {label}: {note}" for label, note in notes) + "\n")
    return "\n".join(blocks)


def html_page(parts: Sequence[Part]) -> str:
    """The page; nothing in it is loaded from elsewhere."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    templates = Environment(loader=PackageLoader("mlvgm.runs", ""), autoescape=True, undefined=StrictUndefined)
    return templates.get_template("report.html.jinja").render(
        title=parts[0].section.title if len(parts) == 1 else f"{len(parts)} groups of runs",
        cautions=_cautions(parts),
        parts=[
            {
                "title": part.section.title,
                "warnings": _warnings(part),
                "tables": part.tables,
                "images": part.images,
                "notes": part.notes(),
                "runs": [_run(source) for source in part.section.sources],
            }
            for part in parts
        ],
    )


def _cautions(parts: Sequence[Part]) -> list[str]:
    """The small print of every run, which stands first; named where there are several runs."""
    sources = [source for part in parts for source in part.section.sources]
    said = {source.name: small_print(source.config, len(source.labels())) for source in sources}
    return [f"{name}: {text}" if len(sources) > 1 else text for name, text in said.items() if text]


def _warnings(part: Part) -> list[str]:
    damaged = [f"Images left out, {problem}." for problem in part.problems]
    return [*_remark(part.section), *_unfinished(part.section), *damaged]


def _remark(section: Section) -> list[str]:
    return [f"Stands apart: {section.remark}."] if section.remark else []


def _unfinished(section: Section) -> list[str]:
    return [
        f"Run '{source.name}' is not finished ({source.state}): figures are of {len(source.records)} finished units."
        for source in section.sources
        if not source.finished
    ]


def _run(source: Source) -> dict[str, Any]:
    return {
        "name": source.name,
        "state": source.state,
        "plan": source.run.read_json("plan.json"),
        "config": source.run.config.read_text(),
        "environment": json.dumps(source.run.read_json("environment.json"), indent=1, sort_keys=True),
    }
