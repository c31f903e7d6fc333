"""Drawing the images of the data set ``shapes`` from their factors, with soft edges one pixel wide."""

from __future__ import annotations

import math

import torch
from torch import Tensor

# Pale backgrounds and saturated objects: some channel always differs by more than half of the range.
BACKGROUNDS = torch.tensor(
    [[0.95, 0.95, 0.95], [0.95, 0.80, 0.60], [0.65, 0.95, 0.75], [0.60, 0.80, 0.95], [0.85, 0.65, 0.95], [0.6] * 3]
)
HUES = 0.85 * torch.tensor([[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 1, 1], [0, 0, 1], [1, 0, 1.0]])
SHADE = 0.35  # brightness of the dark parts of a texture
# In units of the image's side. The largest object at the outermost centre leaves the corner pixels free.
RADII = torch.tensor([0.15, 0.21, 0.28])
CENTRES = torch.tensor([0.3, 0.4, 0.5, 0.6, 0.7])
PERIOD = 1 / 8


def draw(factors: Tensor, *, size: int) -> Tensor:
    """Images of factor values; each is a pure function of its own row, bit by bit.

    Only operations that round correctly are used (no sine, no power), so batches of any size agree.

    Args:
        factors: (N, 7) int64, each within its factor.
        size: height and width, pixels.

    Shape:
        output: (N, 3, size, size) float32 in [0, 1].
    """
    background, shape, scale, column, row, hue, texture = factors.unbind(1)
    pixels = (torch.arange(size) + 0.5) / size
    x, y = torch.broadcast_tensors(
        pixels[None, None, :] - CENTRES[column][:, None, None], pixels[None, :, None] - CENTRES[row][:, None, None]
    )
    radius = RADII[scale][:, None, None]
    inside = torch.empty(len(factors), size, size)
    for number, distance in enumerate((_disc, _square, _triangle, _cross, _ring, _star)):
        rows = shape == number
        inside[rows] = _covered(distance(x[rows], y[rows], radius[rows]), size)
    dark = _pattern(x, y, texture[:, None, None], size)
    colour = HUES[hue][:, :, None, None] * (1 - (1 - SHADE) * dark)[:, None]
    behind = BACKGROUNDS[background][:, :, None, None]
    return behind + inside[:, None] * (colour - behind)


def _covered(distance: Tensor, size: int) -> Tensor:
    """Share of a pixel that lies inside an edge, from the signed distance (negative inside) of its centre."""
    return (0.5 - distance * size).clamp(0, 1)


def _pattern(x: Tensor, y: Tensor, texture: Tensor, size: int) -> Tensor:
    """Where a texture is dark, in [0, 1]; it is fixed to the object's centre."""
    rows, columns = _covered(_stripes(y), size), _covered(_stripes(x), size)
    checks = rows + columns - 2 * rows * columns
    patterns = (torch.zeros_like(rows), rows, columns, checks)
    return sum((pattern * (texture == number) for number, pattern in enumerate(patterns)), torch.zeros(()))


def _stripes(position: Tensor) -> Tensor:
    """Signed distance to the nearest edge of stripes, half of which are inside."""
    phase = position / PERIOD
    return ((phase - phase.floor() - 0.5).abs() - 0.25) * PERIOD


def _norm(x: Tensor, y: Tensor) -> Tensor:
    return (x * x + y * y).sqrt()


def _disc(x: Tensor, y: Tensor, radius: Tensor) -> Tensor:
    return _norm(x, y) - radius


def _square(x: Tensor, y: Tensor, radius: Tensor) -> Tensor:
    return torch.maximum(x.abs(), y.abs()) - 0.85 * radius


def _triangle(x: Tensor, y: Tensor, radius: Tensor) -> Tensor:
    """Equilateral, one corner up."""
    return torch.maximum(y, math.sqrt(3) / 2 * x.abs() - y / 2) - radius / 2


def _cross(x: Tensor, y: Tensor, radius: Tensor) -> Tensor:
    across, along = torch.minimum(x.abs(), y.abs()), torch.maximum(x.abs(), y.abs())
    return torch.maximum(across - 0.3 * radius, along - radius)


def _ring(x: Tensor, y: Tensor, radius: Tensor) -> Tensor:
    return (_norm(x, y) - 0.72 * radius).abs() - 0.28 * radius


def _star(x: Tensor, y: Tensor, radius: Tensor) -> Tensor:
    """Six points: a triangle and the same upside down."""
    return torch.minimum(_triangle(x, y, radius), _triangle(x, -y, radius))
