"""Proposals of Square's random search for Linf and L2 (Andriushchenko et al., arXiv 1912.00049).

Every image has its own window; the random numbers come in as an argument, one row an image.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

import torch

from mlvgm.noise import Keys, uniform
from mlvgm.protocols.attack import Norm
from mlvgm_robust.attacks.geometry import distance, per_image, project

if TYPE_CHECKING:
    from torch import Tensor

_TINY = 1e-12
# Queries, of 10,000, after which the share of pixels in the window is halved (the authors' schedule).
_MILESTONES = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
_FIRST_SHARE = 0.8


def window_side(query: int, queries: int, image: torch.Size, norm: Norm) -> int:
    """Side of the window in pixels at ``query`` of ``queries``, for images (C, H, W).

    >>> [window_side(query, 5000, torch.Size((3, 32, 32)), "Linf") for query in (0, 100, 4999)]
    [29, 14, 1]
    """
    height, width = image[1:]
    passed = sum(query * 10_000 > milestone * queries for milestone in _MILESTONES)
    side = round(math.sqrt(_FIRST_SHARE * 0.5**passed * height * width))
    if norm == "L2":  # an odd side, at least 3, gives the pattern a centre
        side = max(side, 3) | 1
    return max(1, min(side, height, width))


def numbers_needed(channels: int) -> int:
    """Uniform numbers one proposal uses: two windows, a flip, a sign for each channel."""
    return 5 + channels


def first_guess(images: Tensor, *, norm: Norm, eps: float, keys: Keys, name: str) -> Tensor:
    """Where the search starts: vertical stripes of ±eps (Linf), or a grid of signed patterns scaled to eps (L2)."""
    channels, height, width = images.shape[1:]
    if norm == "Linf":
        delta = eps * _signs(uniform(keys, name, (channels, 1, width))).to(images)
        return project(images + delta, images, norm=norm, eps=eps)
    side = max(min(height, width) // 5, 1)
    rows, columns = height // side, width // side
    signs = _signs(uniform(keys, name, (channels, rows, columns))).to(images)
    tiles = torch.kron(signs, pattern(side).to(images)[None, None])
    top, left = (height - rows * side) // 2, (width - columns * side) // 2
    delta = torch.zeros_like(images)
    delta[:, :, top : top + rows * side, left : left + columns * side] = tiles
    delta = delta * per_image(eps / distance(delta, norm).clamp_min(_TINY))
    return project(images + delta, images, norm=norm, eps=eps)


def propose(images: Tensor, current: Tensor, numbers: Tensor, *, side: int, norm: Norm, eps: float) -> Tensor:
    """A random change of a window of ``current``.

    Args:
        images: (b, C, H, W) clean images.
        current: (b, C, H, W) points in the ball.
        numbers: (b, numbers_needed(C)) uniform in [0, 1).
        side: window side in pixels.
        norm: of the ball.
        eps: its radius.
    """
    height, width = images.shape[2:]
    numbers = numbers.to(images)
    places, signs = numbers[:, :5], _signs(numbers[:, 5:])[:, :, None, None]
    top, left = _place(places[:, 0], height - side), _place(places[:, 1], width - side)
    window = _window(top, left, side, images)
    if norm == "Linf":
        return project(current + 2 * eps * signs * window, images, norm=norm, eps=eps)
    other = _window(_place(places[:, 2], height - side), _place(places[:, 3], width - side), side, images)
    shape = _placed_pattern(top, left, side, places[:, 4] < 0.5, images) * window
    return _move_mass(images, current, window, other, signs * shape, eps=eps)


@lru_cache(maxsize=64)
def pattern(side: int) -> Tensor:
    """Two pyramids of opposite sign side by side, the L2 proposal (arXiv 1912.00049, eq. 2), (side, side)."""
    half = side // 2
    return torch.cat([_pyramid(side, half), -_pyramid(side, side - half)], dim=1)


def _pyramid(height: int, width: int) -> Tensor:
    n = height // 2
    down = (torch.arange(height) - n).abs()[:, None]
    across = (torch.arange(width) - width // 2).abs()[None, :]
    heights = torch.cumsum((n + 1 - torch.arange(n + 1.0)) ** -2, 0)
    return heights[(n - torch.maximum(down, across)).clamp_min(0)]


def _move_mass(images: Tensor, current: Tensor, window: Tensor, other: Tensor, change: Tensor, *, eps: float) -> Tensor:
    """Move the perturbation of ``other`` into ``window``, changed, and spend what the ball leaves (algorithm 3)."""
    delta = current - images
    both = torch.maximum(window, other)
    unused = (eps**2 - delta.square().flatten(1).sum(1)).clamp_min(0)
    available = (_sum(delta.square() * both) + per_image(unused) / images.shape[1]).sqrt()
    inside = delta * window
    mixed = _unit(change) + _unit(inside)
    moved = delta * (1 - both) + _unit(mixed) * available
    return project(images + moved, images, norm="L2", eps=eps)


def _sum(values: Tensor) -> Tensor:
    """Sum over pixels, (b, C, H, W) → (b, C, 1, 1)."""
    return values.sum((2, 3), keepdim=True)


def _unit(values: Tensor) -> Tensor:
    """Each channel scaled to L2 norm 1, or left 0."""
    return values / _sum(values.square()).sqrt().clamp_min(_TINY)


def _signs(numbers: Tensor) -> Tensor:
    return torch.where(numbers < 0.5, -1.0, 1.0)


def _place(numbers: Tensor, room: int) -> Tensor:
    # The product may round up to room + 1.
    return (numbers * (room + 1)).long().clamp_max(room)


def _window(top: Tensor, left: Tensor, side: int, images: Tensor) -> Tensor:
    """1 inside each image's window, (b, 1, H, W)."""
    rows = torch.arange(images.shape[2], device=images.device) - top[:, None]
    columns = torch.arange(images.shape[3], device=images.device) - left[:, None]
    rows, columns = (rows >= 0) & (rows < side), (columns >= 0) & (columns < side)
    return (rows[:, :, None] & columns[:, None, :])[:, None].to(images.dtype)


def _placed_pattern(top: Tensor, left: Tensor, side: int, flip: Tensor, images: Tensor) -> Tensor:
    """The L2 pattern at each image's window, transposed where ``flip``, (b, 1, H, W); meaningless outside."""
    rows = (torch.arange(images.shape[2], device=images.device) - top[:, None]).clamp(0, side - 1)[:, :, None]
    columns = (torch.arange(images.shape[3], device=images.device) - left[:, None]).clamp(0, side - 1)[:, None, :]
    values = pattern(side).to(images)
    return torch.where(flip[:, None, None], values[columns, rows], values[rows, columns])[:, None]
