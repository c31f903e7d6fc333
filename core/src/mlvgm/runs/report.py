"""The report of a run: one self-contained HTML page and its figures (original, adversarial, purified; accuracies)."""

from __future__ import annotations

import base64
import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlvgm.files import write_text
from mlvgm.runs.config import PurifyConfig
from mlvgm.runs.execute import all_units, row_results
from mlvgm.runs.plan import small_print
from mlvgm.runs.rundir import RunDirectory

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mlvgm.pipelines.purify import RowResult
    from mlvgm.statistics import Estimate

SHOWN = 10


def write_report(run: RunDirectory, config: PurifyConfig, result: Mapping[str, Any]) -> Path | None:
    """Write ``report.html``, ``accuracy.png`` and ``images.png`` into the run.

    Returns:
        the page, or None where the extra ``mlvgm-core[report]`` is not installed.
    """
    if not all(importlib.util.find_spec(name) for name in ("matplotlib", "jinja2")):
        return None
    rows = row_results(dict(result))
    figures = {"accuracy": accuracy_figure(rows), "images": image_figure(run, config)}
    for name, figure in figures.items():
        figure.savefig(run.path / f"{name}.png", dpi=110, bbox_inches="tight")
    page = run.path / "report.html"
    write_text(page, _page(run, config, rows, result))
    return page


def accuracy_figure(rows: Sequence[RowResult]) -> Figure:
    """Clean and robust accuracy of every row with 95 % intervals."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 0.55 * len(rows) + 1.2))
    axes = figure.subplots()
    for offset, colour, name in ((-0.15, "#3b6fb6", "clean"), (0.15, "#c8503c", "robust")):
        for position, row in enumerate(rows):
            estimate: Estimate = getattr(row, name)
            errors = [[estimate.value - estimate.low], [estimate.high - estimate.value]]
            label = name if position == 0 else None
            axes.errorbar(estimate.value, position + offset, xerr=errors, fmt="o", color=colour, capsize=3, label=label)
    axes.set(xlim=(-0.02, 1.02), xlabel="accuracy of one deployed decision (95 % Wilson interval)")
    several = len({row.attack for row in rows}) > 1
    axes.set_yticks(range(len(rows)), [f"{row.label}, {row.attack}" if several else row.label for row in rows])
    axes.invert_yaxis()
    axes.grid(axis="x", alpha=0.3)
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    return figure


def image_figure(run: RunDirectory, config: PurifyConfig) -> Figure:
    """The first images of the first row: original, adversarial and (from the run's records) purified."""
    from matplotlib.figure import Figure

    unit = all_units(config, tuple(range(SHOWN)))[0]
    stored = run.finished()
    name = next(key for key in stored if stored[key]["defence"] == unit.label)
    tensors, record = run.read_images(name), stored[name]
    kinds = [kind for kind in ("original", "adversarial", "purified") if kind in tensors]
    count = min(SHOWN, len(tensors["original"]))
    figure = Figure(figsize=(1.1 * count + 1, 1.25 * len(kinds)))
    grid = figure.subplots(len(kinds), count, squeeze=False)
    for row, kind in enumerate(kinds):
        for column in range(count):
            axes = grid[row][column]
            pixels = tensors[kind][column].clamp(0, 1).movedim(0, 2).numpy()
            axes.imshow(pixels, cmap="gray", vmin=0, vmax=1)
            axes.set(xticks=[], yticks=[])
            if kind != "original":
                right = record["robust"][column]
                for spine in axes.spines.values():
                    spine.set(color="#3a9a5b" if right else "#c8503c", linewidth=2)
        grid[row][0].set_ylabel(kind)
    figure.suptitle(f"{unit.label}: green frame: its decision on fresh noise is right; red: wrong", fontsize=10)
    return figure


def _page(run: RunDirectory, config: PurifyConfig, rows: Sequence[RowResult], result: Mapping[str, Any]) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    templates = Environment(loader=PackageLoader("mlvgm.runs", ""), autoescape=True, undefined=StrictUndefined)
    return templates.get_template("report.html.jinja").render(
        title=f"{', '.join(row.label for row in config.attacks)} on {config.data.name}",
        caution=small_print(config, rows[0].images),
        rows=rows,
        notes=[(row["label"], row["note"]) for row in result["rows"] if row["note"]],
        figures=[(name, _base64(run.path / f"{name}.png")) for name in ("accuracy", "images")],
        plan=run.read_json("plan.json"),
        config=run.config.read_text(),
        environment=(run.path / "environment.json").read_text(),
    )


def _base64(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
