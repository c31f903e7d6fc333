"""The report of one or many runs: one self-contained HTML page, its figures as PNG, its tables as Markdown."""

from __future__ import annotations

import base64
import importlib.util
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mlvgm.errors import ConfigError, InputError
from mlvgm.files import check_writable, write_bytes, write_text
from mlvgm.pictures import Picture, as_png
from mlvgm.protocols.job import Job, Section, Source
from mlvgm.runs.rundir import RunDirectory
from mlvgm.runs.stored import Stored, finished
from mlvgm.tables import markdown

_NEEDS = ("matplotlib", "jinja2")


@dataclass(frozen=True)
class Image:
    """A finished :class:`~mlvgm.pictures.Picture`."""

    name: str
    alt: str
    caption: str
    png: bytes

    @property
    def data(self) -> str:
        return base64.b64encode(self.png).decode()


@dataclass(frozen=True)
class Part:
    """A section with its figures, ready to be shown."""

    section: Section
    images: tuple[Image, ...]


def check_report_installed() -> None:
    """Refuse to make a report where the extra is missing.

    Raises:
        ConfigError: matplotlib or jinja2 is not installed.
    """
    missing = _missing()
    if missing:
        raise ConfigError(f"reports need {' and '.join(missing)}", hint='pip install "mlvgm-core[report]"')


def _missing() -> list[str]:
    return [name for name in _NEEDS if importlib.util.find_spec(name) is None]


def write_report(job: Job[Any, Any], run: RunDirectory, config: Any) -> Path | None:
    """Write ``report.html`` and the folder ``figures`` into a run.

    Args:
        job: kind of study.
        run: where to.
        config: of the run.

    Returns:
        the page, or None where the extra ``mlvgm-core[report]`` is not installed or there is nothing to report.
    """
    records = finished(job, config, run)
    if not records or _missing():
        return None
    parts = make_parts([Stored(run, job, config, records)])
    page = run.path / "report.html"
    write_text(page, html_page(parts))
    write_figures(run.path / "figures", parts)
    return page


def make_parts(runs: Sequence[Stored]) -> list[Part]:
    """The sections of runs, those of one job together, in the order of their first runs.

    Raises:
        InputError: a run has no finished unit.
    """
    for one in runs:
        if not one.records:
            path = one.run.path
            raise InputError(f"run '{path}' has no finished unit yet", hint=f"`mlvgm runs resume {path}` goes on")
    of_jobs: dict[str, list[Stored]] = {}
    for one in runs:
        of_jobs.setdefault(one.config.run, []).append(one)
    sections: list[Section] = []
    for several in of_jobs.values():
        sources = [Source(one.run, one.config, one.records, one.run.state) for one in several]
        sections += several[0].job.sections(sources)
    parts = []
    for number, section in enumerate(sections, start=1):
        mark = "" if number == 1 else f"section-{number}-"
        images = tuple(_image(picture, mark) for picture in section.pictures)
        parts.append(Part(replace(section, problems=_at_most(section.problems)), images))
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
        blocks += [f"**{text}**\n" for text in _warnings(section)]
        blocks += [markdown(table, level=3) for table in section.tables]
        if section.notes:
            blocks.append("\n".join(f"* {_note(label, note)}" for label, note in section.notes) + "\n")
    return "\n".join(blocks)


def _note(label: str, note: str) -> str:
    return f"{label}: {note}" if label else note


def html_page(parts: Sequence[Part]) -> str:
    """The page; nothing in it is loaded from elsewhere."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    templates = Environment(loader=PackageLoader("mlvgm.runs", ""), autoescape=True, undefined=StrictUndefined)
    return templates.get_template("report.html.jinja").render(
        title=parts[0].section.title if len(parts) == 1 else f"{len(parts)} groups of runs",
        cautions=[text for part in parts for text in part.section.cautions],
        parts=[
            {
                "title": part.section.title,
                "warnings": _warnings(part.section),
                "tables": part.section.tables,
                "images": part.images,
                "notes": part.section.notes,
                "runs": [_run(source) for source in part.section.sources],
            }
            for part in parts
        ],
    )


def _warnings(section: Section) -> list[str]:
    remark = [f"Stands apart: {section.remark}."] if section.remark else []
    unfinished = [
        f"Run '{source.name}' is not finished ({source.state}): figures are of {len(source.records)} finished units."
        for source in section.sources
        if not source.finished
    ]
    return [*remark, *unfinished, *(f"Images left out, {problem}." for problem in section.problems)]


def _run(source: Source) -> dict[str, Any]:
    return {
        "name": source.name,
        "state": source.state,
        "plan": source.run.read_json("plan.json"),
        "config": source.run.config.read_text(),
        "environment": json.dumps(source.run.read_json("environment.json"), indent=1, sort_keys=True),
    }
