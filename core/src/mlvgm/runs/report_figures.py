"""The figures of a report: accuracies, security curves, distances, and images."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from mlvgm.errors import InputError
from mlvgm.pipelines.purify import RowResult
from mlvgm.pipelines.security_curve import Curve, distances, security_curves
from mlvgm.pipelines.slug import slug
from mlvgm.runs.sections import Section

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHOWN, PANELS = 8, 8
_IN_ONE_PANEL = 6
_RIGHT, _WRONG = (0.23, 0.6, 0.36), (0.78, 0.31, 0.24)


@dataclass(frozen=True)
class Picture:
    """A figure, the name of its file without ending, and what it shows in words."""

    name: str
    alt: str
    figure: Figure


def pictures(section: Section) -> list[Picture]:
    """All figures of a section."""
    rows = [row for row, _ in section.rows]
    found = [Picture("accuracy", _accuracy_text(rows), accuracy_figure(rows))]
    curves = security_curves(section.outcomes)
    for norm in dict.fromkeys(curve.norm for curve in curves):
        drawn = [curve for curve in curves if curve.norm == norm]
        if sum(len(curve.radii) for curve in drawn) > len({curve.label for curve in drawn}):
            text = f"Security curves: robust accuracy against the {norm} radius, with 95 % bands, of "
            text += ", ".join(dict.fromkeys(curve.label for curve in drawn))
            found.append(Picture(f"curves-{slug(norm)}", text, security_figure(drawn, norm=norm)))
        near = {
            f"{one.label}, {one.attack}": [float("inf") if value is None else value for value in one.values]
            for one in distances(section.outcomes)
            if one.norm == norm
        }
        if near:
            text = f"Share of images broken within each {norm} distance by " + "; ".join(near)
            found.append(Picture(f"distances-{slug(norm)}", text, distance_figure(near, norm=norm)))
    return found + _panels(section)


def accuracy_figure(rows: Sequence[RowResult]) -> Figure:
    """Clean and robust accuracy of every row with 95 % intervals."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 0.4 * len(rows) + 1.2))
    axes = figure.subplots()
    for offset, colour, name in ((-0.15, "#3b6fb6", "clean"), (0.15, _WRONG, "robust")):
        for position, row in enumerate(rows):
            estimate = getattr(row, name)
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


def _accuracy_text(rows: Sequence[RowResult]) -> str:
    figures = [f"{row.label} under {row.attack}: {row.clean.percent()}, {row.robust.percent()}" for row in rows[:12]]
    more = f"; and {len(rows) - 12} more, see the summary table" if len(rows) > 12 else ""
    return f"Clean and robust accuracy in %: {'; '.join(figures)}{more}"


def security_figure(curves: Sequence[Curve], *, norm: str) -> Figure:
    """Robust accuracy against the radius: minimal-norm attacks as lines, others as points, the worst case dashed.

    More defences than can be told apart in one panel have a panel each.
    """
    from matplotlib.figure import Figure

    colours = _colours([curve.label for curve in curves])
    apart = len(colours) > _IN_ONE_PANEL
    columns = 4 if apart else 1
    rows = math.ceil(len(colours) / columns) if apart else 1
    figure = Figure(figsize=(2.6 * columns, 2 * rows) if apart else (8, 5))
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
        axes.set_title(label, fontsize=8)
    figure.supxlabel(f"{norm} radius", fontsize=9, y=0.05 if apart else None)
    figure.supylabel("robust accuracy (95 % Wilson, pointwise)", fontsize=9, x=0.06 if apart else None)
    corner = grid[columns - 1]
    named = {} if apart else colours
    _legend(corner, named, lines, styles, worst=any(curve.kind == "worst" for curve in curves))
    return figure


def _colours(labels: Sequence[str]) -> dict[str, Any]:
    from matplotlib import colormaps

    different = list(dict.fromkeys(labels))
    colours = colormaps["tab10" if len(different) <= 10 else "tab20"]
    return {label: colours(number % colours.N) for number, label in enumerate(different)}


def _attacks(curves: Sequence[Curve], kind: str) -> list[str]:
    return list(dict.fromkeys(str(curve.attack) for curve in curves if curve.kind == kind))


def _legend(
    axes: Axes, colours: Mapping[str, Any], lines: Mapping[str, str], markers: Mapping[str, str], *, worst: bool
) -> None:
    """Colours name defences; lines and markers name attacks."""
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], color=colour, linewidth=4, label=label) for label, colour in colours.items()]
    handles += [Line2D([], [], color="#444", ls=style, label=name) for name, style in lines.items()]
    handles += [Line2D([], [], color="#444", marker=m, linestyle="", label=name) for name, m in markers.items()]
    if worst:
        handles.append(Line2D([], [], color="#444", linestyle="--", label="worst case of all attacks"))
    axes.legend(handles=handles, loc="upper left", bbox_to_anchor=(1, 1), frameon=False, fontsize=8)


def distance_figure(found: Mapping[str, Sequence[float]], *, norm: str) -> Figure:
    """Empirical distribution of the distances at which images are broken; what is never broken keeps it below 1."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4))
    axes = figure.subplots()
    reached = [value for values in found.values() for value in values if value < float("inf")]
    top = max(reached, default=1.0) * 1.02 or 1.0
    colours = _colours(list(found))
    for label, values in found.items():
        finite = sorted(value for value in values if value < float("inf"))
        shares = [(number + 1) / len(values) for number in range(len(finite))]
        steps = [0.0, *shares, shares[-1] if shares else 0.0]
        axes.step([0.0, *finite, top], steps, where="post", color=colours[label], label=label)
    axes.set(xlim=(0, top), ylim=(0, 1.02), xlabel=f"{norm} distance", ylabel="share of images broken within it")
    axes.grid(alpha=0.3)
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False, fontsize=8)
    return figure


def _panels(section: Section) -> list[Picture]:
    """First images of each defence under the first attack that has them, as many defences as fit."""
    found: dict[str, Picture] = {}
    for source in section.sources:
        attacks = [row.label for row in source.config.attacks]
        for name, record in sorted(source.records.items(), key=lambda item: attacks.index(item[1]["attack"])):
            label, file = record["defence"], source.run.path / "images" / f"{name}.safetensors"
            if label in found or len(found) == PANELS or not file.is_file():
                continue
            try:
                tensors, right = source.run.read_images(name), record["robust"]
            except InputError:
                continue
            title = f"{label} under {record['attack']}"
            text = f"Images of {title}: original, adversarial, their difference, purified; one column an image. "
            text += "Decisions on fresh noise: " + ", ".join("right" if one else "wrong" for one in right[:SHOWN])
            found[label] = Picture(f"images-{slug(label)}", text, image_figure(tensors, right, title=title))
    labels = [row.label for row, _ in section.rows]
    return [found[label] for label in dict.fromkeys(labels) if label in found]


def image_figure(tensors: Mapping[str, Tensor], right: Sequence[bool], *, title: str) -> Figure:
    """Original, adversarial, difference (scaled to its largest value) and purified images, framed by the decision."""
    from matplotlib.figure import Figure

    rows = {kind: tensors[kind] for kind in ("original", "adversarial", "purified") if kind in tensors}
    count = min(SHOWN, len(rows["original"]))
    change = rows["adversarial"] - rows["original"]
    scale = change.abs().flatten(1).amax(1).clamp_min(1e-9)[:, None, None, None]
    purified = {"purified": rows.pop("purified")} if "purified" in rows else {}
    rows |= {"difference": 0.5 + 0.5 * change / scale} | purified
    # One picture of all of them: as many axes would take a hundred times as long.
    cells = [
        [
            _framed(images[column], right[column] if kind in ("adversarial", "purified") else None)
            for column in range(count)
        ]
        for kind, images in rows.items()
    ]
    mosaic = torch.cat([torch.cat(line, dim=2) for line in cells], dim=1)
    height = cells[0][0].shape[1]
    figure = Figure(figsize=(0.95 * count + 1, 1.0 * len(rows) + 0.5))
    axes = figure.subplots()
    axes.imshow(mosaic.movedim(0, 2).numpy(), interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([height * (number + 0.5) for number in range(len(rows))], list(rows))
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_title(f"{title}\ngreen frame: its decision on fresh noise is right; red: wrong", fontsize=9)
    return figure


def _framed(image: Tensor, right: bool | None) -> Tensor:
    """The image in colour (3, H, W) with a margin around it and, if it was decided about, a frame."""
    image = image.to(torch.float32).clamp(0, 1)
    if image.shape[0] != 3:  # what is no colour image is shown by its first channel
        image = image[:1].expand(3, -1, -1)
    width = max(1, image.shape[2] // 16)
    colour = torch.tensor((1.0, 1.0, 1.0) if right is None else _RIGHT if right else _WRONG)[:, None, None]
    for border in (colour, torch.ones(3, 1, 1)):
        _, high, wide = image.shape
        framed = border.expand(3, high + 2 * width, wide + 2 * width).clone()
        framed[:, width:-width, width:-width] = image
        image = framed
    return image
