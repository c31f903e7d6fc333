"""The charts of a report: accuracies, security curves and distances."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mlvgm.pictures import Picture
from mlvgm.runs.slug import slug
from mlvgm_robust.purify.sections import Merged
from mlvgm_robust.purify.security_curve import Curve, distances, security_curves
from mlvgm_robust.purify.units import RowResult

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_IN_ONE_PANEL, _MOST_ROWS = 6, 24
_CLEAN, _ROBUST = "#3b6fb6", "#c8503c"


def charts(section: Merged) -> list[Picture]:
    """All charts of a section."""
    found = [_accuracy([row for row, _ in section.rows])]
    curves = security_curves(section.outcomes)
    for norm in dict.fromkeys(curve.norm for curve in curves):
        drawn = [curve for curve in curves if curve.norm == norm]
        if sum(len(curve.radii) for curve in drawn) > len({curve.label for curve in drawn}):
            text = f"Security curves against the {norm} radius: {_curves_text(drawn)}"
            caption = (
                f"Robust accuracy against the {norm} radius. Lines: attacks of minimal distance, at every radius; "
                "points: attacks with a radius of their own; dashed: the worst case of all. Bands and bars: "
                "95 % Wilson intervals."
            )
            found.append(Picture(f"curves-{slug(norm)}", text, caption, security_figure(drawn, norm=norm)))
        near = {
            f"{one.label}, {one.attack}": [float("inf") if value is None else value for value in one.values]
            for one in distances(section.outcomes)
            if one.norm == norm
        }
        if near:
            text = f"Share of images broken within each {norm} distance: {_distances_text(near)}"
            caption = (
                f"Share of images broken within each {norm} distance. Where a line ends below 1, the rest never was."
            )
            found.append(Picture(f"distances-{slug(norm)}", text, caption, distance_figure(near, norm=norm)))
    return found


def _accuracy(rows: Sequence[RowResult]) -> Picture:
    caption = "Clean and robust accuracy of one deployed decision, with 95 % Wilson intervals."
    if len(rows) > _MOST_ROWS:
        rows = _lowest(rows)
        caption += " Each defence under the attack that leaves the least; the others are in the tables."
    shown = [f"{row.label} under {row.attack}: {row.clean.percent()}, {row.robust.percent()}" for row in rows[:12]]
    more = f"; and {len(rows) - 12} more, see the tables" if len(rows) > 12 else ""
    alt = f"Clean and robust accuracy in %: {'; '.join(shown)}{more}"
    return Picture("accuracy", alt, caption, accuracy_figure(rows))


def _lowest(rows: Sequence[RowResult]) -> list[RowResult]:
    """Of each defence the row of the lowest robust accuracy."""
    own = {label: [row for row in rows if row.label == label] for label in dict.fromkeys(row.label for row in rows)}
    return [min(found, key=lambda row: row.robust.value) for found in own.values()]


def _curves_text(curves: Sequence[Curve]) -> str:
    ends = [
        f"{curve.label}, {curve.attack or 'worst case'}: {100 * curve.robust[-1].value:.0f} % at {curve.radii[-1]:.3g}"
        for curve in curves[:12]
    ]
    return "; ".join(ends) + (f"; and {len(curves) - 12} more" if len(curves) > 12 else "")


def _distances_text(near: Mapping[str, Sequence[float]]) -> str:
    def share(values: Sequence[float]) -> str:
        return f"{100 * sum(value < math.inf for value in values) / len(values):.0f} % in all"

    shown = [f"{name}: {share(values)}" for name, values in list(near.items())[:12]]
    return "; ".join(shown) + (f"; and {len(near) - 12} more" if len(near) > 12 else "")


def accuracy_figure(rows: Sequence[RowResult]) -> Figure:
    """Clean and robust accuracy of every row with 95 % intervals; names stand above, so that they take no width."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 0.55 * len(rows) + 1.1))
    axes = figure.subplots()
    several = len({row.attack for row in rows}) > 1
    for offset, colour, marker, name in ((0.0, _CLEAN, "o", "clean"), (0.2, _ROBUST, "s", "robust")):
        for position, row in enumerate(rows):
            estimate = getattr(row, name)
            errors = [[estimate.value - estimate.low], [estimate.high - estimate.value]]
            label = name if position == 0 else None
            where = position + offset
            axes.errorbar(estimate.value, where, xerr=errors, fmt=marker, color=colour, capsize=3, label=label)
    for position, row in enumerate(rows):
        name = f"{row.label}, {row.attack}" if several else row.label
        axes.text(0, position - 0.2, _short(name), fontsize=9, va="bottom")
    axes.set(xlim=(-0.02, 1.02), ylim=(len(rows) - 0.5, -0.7), xlabel="accuracy of one deployed decision")
    axes.set_yticks([])
    axes.grid(axis="x", alpha=0.3)
    for side in ("left", "right", "top"):
        axes.spines[side].set_visible(False)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.7 / figure.get_figheight()), ncols=2, frameon=False)
    return figure


def _short(text: str, most: int = 70) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def security_figure(curves: Sequence[Curve], *, norm: str) -> Figure:
    """Robust accuracy against the radius: minimal-norm attacks as lines, others as points, the worst case dashed.

    More defences than can be told apart in one panel have a panel each.
    """
    from matplotlib.figure import Figure

    colours = _colours([curve.label for curve in curves])
    apart = len(colours) > _IN_ONE_PANEL
    columns = 3 if apart else 1
    rows = math.ceil(len(colours) / columns) if apart else 1
    figure = Figure(figsize=(6.4, 1.9 * rows) if apart else (6, 4))
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).flatten()
    panels = {label: grid[number if apart else 0] for number, label in enumerate(colours)}
    styles = {name: marker for name, marker in zip(_attacks(curves, "fixed"), "osD^vP*Xhp<>" * 9, strict=False)}
    lines = {name: style for name, style in zip(_attacks(curves, "minimal"), ("-", ":", "-.") * 9, strict=False)}
    for curve in curves:
        axes = panels[curve.label]
        values = [point.value for point in curve.robust]
        low, high = [point.low for point in curve.robust], [point.high for point in curve.robust]
        colour = colours[curve.label]
        if curve.kind == "fixed":
            errors = [[values[0] - low[0]], [high[0] - values[0]]]
            marker = styles[str(curve.attack)]
            axes.errorbar(curve.radii, values, yerr=errors, fmt=marker, color=colour, capsize=3, markersize=5)
            continue
        style = "--" if curve.kind == "worst" else lines[str(curve.attack)]
        axes.step(curve.radii, values, where="post", linestyle=style, color=colour)
        axes.fill_between(curve.radii, low, high, step="post", color=colour, alpha=0.1, linewidth=0)
    fixed = [curve.radii[0] for curve in curves if curve.kind == "fixed"]
    for number, axes in enumerate(grid):
        if apart and number >= len(colours):
            axes.set_visible(False)
        axes.set(ylim=(-0.02, 1.02), xlim=(0, 2.5 * max(fixed) if fixed and max(fixed) > 0 else None))
        axes.grid(alpha=0.3)
    for label, axes in panels.items() if apart else ():
        axes.set_title(_short(label, 28), fontsize=8)
    figure.supxlabel(f"{norm} radius", fontsize=9, y=0.05 if apart else None)
    figure.supylabel("robust accuracy (95 % Wilson, pointwise)", fontsize=9, x=0.06 if apart else None)
    named = {} if apart else colours
    _legend(figure, named, lines, styles, worst=any(curve.kind == "worst" for curve in curves))
    return figure


def _colours(labels: Sequence[str]) -> dict[str, Any]:
    from matplotlib import colormaps

    different = list(dict.fromkeys(labels))
    colours = colormaps["tab10" if len(different) <= 10 else "tab20"]
    return {label: colours(number % colours.N) for number, label in enumerate(different)}


def _attacks(curves: Sequence[Curve], kind: str) -> list[str]:
    return list(dict.fromkeys(str(curve.attack) for curve in curves if curve.kind == kind))


def _legend(
    figure: Figure, colours: Mapping[str, Any], lines: Mapping[str, str], markers: Mapping[str, str], *, worst: bool
) -> None:
    """Colours name defences; lines and markers name attacks."""
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], color=colour, linewidth=4, label=label) for label, colour in colours.items()]
    handles += [Line2D([], [], color="#444", ls=style, label=name) for name, style in lines.items()]
    handles += [Line2D([], [], color="#444", marker=m, linestyle="", label=name) for name, m in markers.items()]
    if worst:
        handles.append(Line2D([], [], color="#444", linestyle="--", label="worst case of all attacks"))
    figure.legend(handles=handles, loc="upper left", bbox_to_anchor=(0.05, -0.01), frameon=False, fontsize=8)


def distance_figure(found: Mapping[str, Sequence[float]], *, norm: str) -> Figure:
    """Empirical distribution of the distances at which images are broken; what is never broken keeps it below 1."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.6))
    axes = figure.subplots()
    reached = [value for values in found.values() for value in values if value < float("inf")]
    top = max(reached, default=1.0) * 1.02 or 1.0
    colours = _colours(list(found))
    for label, values in found.items():
        finite = sorted(value for value in values if value < float("inf"))
        shares = [(number + 1) / len(values) for number in range(len(finite))]
        steps = [0.0, *shares, shares[-1] if shares else 0.0]
        axes.step([0.0, *finite, top], steps, where="post", color=colours[label], label=_short(label))
    axes.set(xlim=(0, top), ylim=(0, 1.02), xlabel=f"{norm} distance", ylabel="share of images broken within it")
    axes.grid(alpha=0.3)
    figure.legend(loc="upper left", bbox_to_anchor=(0.05, -0.01), frameon=False, fontsize=8)
    return figure
