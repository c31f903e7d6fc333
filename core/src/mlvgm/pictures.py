"""Pictures of results: figures for a report, and images in a grid, as PNG."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlvgm.files import write_bytes

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor

_GAP, _HEADER = 2, 14


@dataclass(frozen=True)
class Picture:
    """A figure.

    Args:
        name: of its file, without ending.
        alt: what it shows, for those who do not see it.
        caption: how to read it, for those who do.
        figure: drawn.
    """

    name: str
    alt: str
    caption: str
    figure: Figure


def as_png(figure: Figure) -> bytes:
    """The bytes of a PNG file; the same figure gives the same bytes, whatever the version of matplotlib."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=110, bbox_inches="tight", metadata={"Software": None})
    return stream.getvalue()


def write_grid(path: Path, images: Tensor, *, titles: Sequence[str] = (), least: int = 64) -> None:
    """Write images as a grid on white, each column under its title.

    Args:
        path: of the PNG file; its folder is made if missing.
        images: (rows, columns, C, H, W) in [0, 1], C = 1 or 3.
        titles: ASCII, one for each column; none leaves the header out.
        least: smaller images are enlarged by a whole factor, pixel by pixel, until their width has ``least`` pixels.
    """
    import torch
    from torch.nn import functional as F

    factor = max(1, -(-least // images.shape[-1]))
    enlarged = images.repeat_interleave(factor, 3).repeat_interleave(factor, 4)
    tiles = F.pad(enlarged, (0, _GAP, 0, _GAP), value=1.0)
    grid = tiles.permute(2, 0, 3, 1, 4).flatten(3, 4).flatten(1, 2)
    if titles:
        header = _header(titles, tiles.shape[-1])
        grid = torch.cat([header.expand(len(grid), -1, -1), grid], 1)
    write_png(path, F.pad(grid, (_GAP, 0, _GAP, 0), value=1.0))


def _header(titles: Sequence[str], width: int) -> Tensor:
    """Black titles on white, each centred over ``width`` pixels: (HEADER, width · titles)."""
    import numpy
    import torch
    from PIL import Image, ImageDraw

    picture = Image.new("L", (width * len(titles), _HEADER), 255)
    draw = ImageDraw.Draw(picture)
    for column, title in enumerate(titles):
        draw.text(((column + 0.5) * width - draw.textlength(title) / 2, 0), title, fill=0)
    return torch.from_numpy(numpy.array(picture)) / 255


def write_png(path: Path, image: Tensor) -> None:
    """Write an image (C, H, W) in [0, 1] as 8-bit PNG, rounding to nearest; the file is whole or absent."""
    import torch
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = (image * 255).round().to(torch.uint8).movedim(0, 2).numpy()
    content = io.BytesIO()
    Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).save(content, format="PNG")
    write_bytes(path, content.getvalue())
