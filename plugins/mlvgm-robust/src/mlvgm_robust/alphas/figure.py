"""Figures of a choice of alphas: what was tried, and whether rising alphas defend better."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlvgm.files import write_bytes
from mlvgm.pictures import as_png
from mlvgm.runs.rundir import RunDirectory


def write_figure(run: RunDirectory, result: Mapping[str, Any]) -> Path | None:
    """Write ``alphas.png`` into the run: objective of each trial and the best so far; ρ against accuracy if known.

    Returns:
        the file, or None where matplotlib is not installed.
    """
    if not importlib.util.find_spec("matplotlib"):
        return None
    from matplotlib.figure import Figure

    study = result["monotonicity"]
    figure = Figure(figsize=(10 if study else 5.5, 3.6))
    axes = figure.subplots(1, 2 if study else 1, squeeze=False)[0]
    observed = [trial["objective"] for trial in result["trials"]]
    best = [max(observed[: i + 1]) for i in range(len(observed))]
    numbers = range(1, len(observed) + 1)
    axes[0].plot(numbers, observed, "o", color="#3b6fb6", markersize=3, label="trial")
    axes[0].plot(numbers, best, color="#c8503c", drawstyle="steps-post", label="highest so far (noisy)")
    axes[0].set(xlabel="evaluations", ylabel="objective", title=f"alphas by {result['method']}")
    axes[0].legend(frameon=False)
    if study:
        r = study["correlation"]
        axes[1].plot(study["rho"], study["accuracy"], "o", color="#3b6fb6", markersize=3)
        axes[1].set(
            xlabel="Spearman's ρ of index and α",
            ylabel="accuracy on the adversarial set",
            title=f"Pearson {r['value']:.2f} [{r['low']:.2f}, {r['high']:.2f}]",
        )
    for one in axes:
        one.grid(alpha=0.3)
    path = run.path / "alphas.png"
    write_bytes(path, as_png(figure))
    return path
