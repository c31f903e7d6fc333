"""``mlvgm report``: tables, curves and images of one or many runs on one page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from mlvgm.cli import options

EPILOG = (
    "Examples: `mlvgm report runs/study` · `mlvgm report runs/apgd runs/square --out both.html` · "
    "`mlvgm report runs/study --markdown tables.md --figures figures`"
)


def register(app: typer.Typer, words: Sequence[str] = ()) -> None:
    app.command("report", epilog=EPILOG)(report)


def report(
    runs: Annotated[list[Path], typer.Argument(help="Run directories, of any jobs.", metavar="RUN...")],
    out: Annotated[
        Path | None, typer.Option(help="HTML page; default report.html in the (first) run.", rich_help_panel="Output")
    ] = None,
    figures: Annotated[
        Path | None, typer.Option(help="Folder for the figures as PNG as well.", rich_help_panel="Output")
    ] = None,
    tables: Annotated[
        Path | None,
        typer.Option("--markdown", help="File for the tables in Markdown as well.", rich_help_panel="Output"),
    ] = None,
    json_output: options.Json = False,
) -> None:
    """One self-contained HTML page of one or many runs, finished or not.

    Runs that can stand together are merged; others stand apart, and the page says why.
    """
    import os

    from mlvgm.cli.output import emit_json, say
    from mlvgm.errors import ConfigError
    from mlvgm.files import write_text
    from mlvgm.runs.report import (
        check_outputs,
        check_report_installed,
        figure_names,
        html_page,
        make_parts,
        markdown_tables,
        write_figures,
    )
    from mlvgm.runs.rundir import RunDirectory
    from mlvgm.runs.stored import stored

    check_report_installed()
    page = out or runs[0] / "report.html"
    directories = [RunDirectory.open(run) for run in runs]
    folders = [Path(os.path.realpath(run)) for run in runs]
    for folder in folders:
        if folders.count(folder) > 1:
            raise ConfigError(f"run '{folder}' is given twice", hint="name each run once")
    check_outputs(page, tables, figures, directories)
    parts = make_parts([stored(folder) for folder in folders])
    names = [] if figures is None else [Path(os.path.realpath(figures / name)) for name in figure_names(parts)]
    for path, text in ((page, html_page(parts)), (tables, markdown_tables(parts))):
        if path is not None:
            if Path(os.path.realpath(path)) in names:
                raise ConfigError(f"'{path}' is a figure's file as well", hint="choose another --out or --figures")
            path.parent.mkdir(parents=True, exist_ok=True)
            write_text(path, text)
    written = [] if figures is None else write_figures(figures, parts)
    for part in parts[1:]:
        say(f"apart: {part.section.remark}")
    if json_output:
        emit_json(
            {
                "schema": 1,
                "page": str(page),
                "markdown": None if tables is None else str(tables),
                "figures": [str(path) for path in written],
                "sections": [
                    {
                        "title": part.section.title,
                        "runs": [str(source.run.path) for source in part.section.sources],
                        "finished": all(source.finished for source in part.section.sources),
                        "remark": part.section.remark,
                        "tables": [
                            {"title": one.title, "head": list(one.head), "body": [list(row) for row in one.body]}
                            for one in part.section.tables
                        ],
                    }
                    for part in parts
                ],
            }
        )
        return
    print(page)
