"""``mlvgm report``: tables, curves and images of one or many runs on one page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mlvgm.cli import options

EPILOG = (
    "Examples: `mlvgm report runs/study` · `mlvgm report runs/apgd runs/square --out both.html` · "
    "`mlvgm report runs/study --markdown tables.md --figures figures`"
)


def register(app: typer.Typer) -> None:
    app.command("report", epilog=EPILOG)(report)


def report(
    runs: Annotated[list[Path], typer.Argument(help="Run directories of `mlvgm run purify`.", metavar="RUN...")],
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

    Runs on the same images are merged; others stand apart, and the page says why.
    """
    from mlvgm.cli.output import emit_json, say
    from mlvgm.files import check_writable, write_text
    from mlvgm.runs.report import check_report_installed, html_page, make_parts, markdown_tables, write_figures
    from mlvgm.runs.sections import read_source

    check_report_installed()
    page = out or runs[0] / "report.html"
    sources = [read_source(run) for run in dict.fromkeys(path.resolve() for path in runs)]
    for path in (page, tables):
        if path is not None:
            check_writable(path.parent)
    if figures is not None:
        check_writable(figures)
    parts = make_parts(sources)
    for path, text in ((page, html_page(parts)), (tables, markdown_tables(parts))):
        if path is not None:
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
                            for one in part.tables
                        ],
                    }
                    for part in parts
                ],
            }
        )
        return
    print(page)
