"""The figures of each step, a line each in ``metrics.jsonl``, and their picture."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlvgm.files import append_line, write_bytes, write_text
from mlvgm.pictures import as_png

NAME, FIGURE = "metrics.jsonl", "metrics.png"


def write_figures(folder: Path, step: int, figures: Mapping[str, float], *, seconds: float) -> None:
    """Append the figures of a step, from 1, and the processor seconds so far."""
    append_line(folder / NAME, json.dumps({"step": step, "seconds": round(seconds, 3), **figures}))


def read_figures(folder: Path) -> list[dict[str, Any]]:
    """What is written down, in the order of steps."""
    path = folder / NAME
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []


def forget_after(folder: Path, step: int) -> None:
    """Take out steps after ``step``, which a resumed training does again, and a line that was not finished."""
    path = folder / NAME
    if path.exists():
        lines = path.read_text("utf-8").splitlines(keepends=True)
        write_text(path, "".join(line for line in lines[:step] if line.endswith("\n")))


def draw_figures(folder: Path) -> Path | None:
    """Write ``metrics.png``, one chart for each figure over the steps; None where matplotlib is not installed."""
    rows = read_figures(folder)
    if not rows or not importlib.util.find_spec("matplotlib"):
        return None
    from matplotlib.figure import Figure

    names = list(dict.fromkeys(name for row in rows for name in row if name not in ("step", "seconds")))
    figure = Figure(figsize=(3.2 * len(names), 2.6))
    for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        known = [(row["step"], row[name]) for row in rows if name in row]
        axes.plot(*zip(*known, strict=True), color="#3b6fb6", linewidth=0.8)
        axes.set(xlabel="step", title=name)
        axes.grid(alpha=0.3)
    figure.tight_layout()
    path = folder / FIGURE
    write_bytes(path, as_png(figure))
    return path
