"""The images of a report: what was given, what the attack made of it, and what the purifier makes of that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from mlvgm.errors import InputError
from mlvgm.pictures import Picture
from mlvgm.protocols.job import Source
from mlvgm.runs.slug import slug
from mlvgm_robust.purify.sections import Merged, class_name
from mlvgm_robust.purify.shards import check_digest

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN, PANELS = 8, 8
_RIGHT, _WRONG = (0.23, 0.6, 0.36), (0.78, 0.31, 0.24)
HOW_TO_READ = (
    "One column an image, its true class above, the decision about the attacked image on fresh noise below and in the "
    "frame (green: right; red: wrong). Difference: what the attack changed, scaled to the largest change of the image; "
    "grey is no change, lighter raised, darker lowered. A wholly grey tile: the attack found nothing better than the "
    "given image, which stands in its place. Purified: one draw."
)


def panels(section: Merged) -> tuple[list[Picture], list[str]]:
    """First images of each defence under the first attack that has them whole, as many defences as fit.

    Returns:
        the pictures, and what is wrong with shards that are missing, damaged or not those on record.
    """
    found: dict[str, Picture] = {}
    problems: dict[str, None] = {}
    for source in section.sources:
        attacks = [row.label for row in source.config.attacks]
        for name, record in sorted(source.records.items(), key=lambda item: attacks.index(item[1]["attack"])):
            label, path = record["defence"], source.run.shard(name)
            if not path.is_file():
                problems[f"missing: '{path}'"] = None
            elif label not in found and len(found) < PANELS:
                try:
                    check_digest(path, record)
                    found[label] = _panel(source, source.run.read_images(name), record)
                except InputError as error:
                    problems[error.message] = None
    labels = [row.label for row, _ in section.rows]
    return [found[label] for label in dict.fromkeys(labels) if label in found], list(problems)


def _panel(source: Source, tensors: Mapping[str, Tensor], record: Mapping[str, Any]) -> Picture:
    if not {"original", "adversarial"} <= set(tensors):
        raise InputError(f"images of unit '{record['unit']}' lack the original or the adversarial ones")
    title = f"{record['defence']} under {record['attack']}"
    classes = [class_name(source, label) for label in record["labels"]]
    right = record["robust"]
    seen = [f"{name} {'right' if one else 'wrong'}" for name, one in zip(classes[:SHOWN], right[:SHOWN], strict=True)]
    alt = f"Images of {title}: original, adversarial, difference, purified. Decisions: {', '.join(seen)}"
    figure = image_figure(tensors, right, classes)
    return Picture(f"images-{slug(record['defence'])}", alt, f"{title}. {HOW_TO_READ}", figure)


def image_figure(tensors: Mapping[str, Tensor], right: Sequence[bool], classes: Sequence[str]) -> Figure:
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
    height, width = cells[0][0].shape[1:]
    figure = Figure(figsize=(0.72 * count + 0.8, 0.78 * len(rows) + 0.7))
    axes = figure.subplots()
    axes.imshow(mosaic.movedim(0, 2).numpy(), interpolation="nearest")
    places = [width * (number + 0.5) for number in range(count)]
    axes.set_xticks(places, ["right" if one else "wrong" for one in right[:count]], fontsize=7)
    above = axes.secondary_xaxis("top")
    above.set_xticks(places, [_lines(name) for name in classes[:count]], fontsize=6)
    axes.set_yticks([height * (number + 0.5) for number in range(len(rows))], list(rows), fontsize=8)
    for one in (axes, above):
        one.tick_params(length=0)
        for spine in one.spines.values():
            spine.set_visible(False)
    return figure


def _lines(name: str, most: int = 12) -> str:
    """A class's name over its column: two lines at most."""
    if len(name) <= most:
        return name
    cut = max(name.rfind(" ", 0, most + 1), name.rfind("/", 0, most + 1) + 1)
    first, rest = (name[:cut], name[cut:].strip()) if cut > 0 else (name[:most], name[most:])
    return f"{first}\n{rest if len(rest) <= most else rest[: most - 1] + '…'}"


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
