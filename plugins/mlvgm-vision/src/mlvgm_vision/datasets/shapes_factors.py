"""The factors of the data set ``shapes``: what varies, in how many ways, and the order of all combinations."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Factor:
    """One independent, uniform cause of an image.

    Args:
        name: what varies.
        values: name of each value; a factor value is an index into these.
    """

    name: str
    values: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.values)


FACTORS = (  # coarse → fine
    Factor("background", ("white", "sand", "mint", "sky", "lilac", "grey")),
    Factor("shape", ("disc", "square", "triangle", "cross", "ring", "star")),
    Factor("scale", ("small", "medium", "large")),
    Factor("x", ("far left", "left", "centre", "right", "far right")),
    Factor("y", ("top", "upper", "centre", "lower", "bottom")),
    Factor("hue", ("red", "yellow", "green", "cyan", "blue", "magenta")),
    Factor("texture", ("plain", "rows", "columns", "checks")),
)
SHAPE = 1
COMBINATIONS = math.prod(map(len, FACTORS))


def factors_of(combinations: Tensor) -> Tensor:
    """Factor values (N, 7) of combination numbers (N,), 0 … COMBINATIONS − 1; the last factor counts fastest.

    >>> factors_of(torch.tensor([0, 1, 24, COMBINATIONS - 1])).tolist()
    [[0, 0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 1], [0, 0, 0, 0, 1, 0, 0], [5, 5, 2, 4, 4, 5, 3]]
    """
    return torch.stack(torch.unravel_index(combinations, tuple(map(len, FACTORS))), 1)


def shuffled() -> Tensor:
    """All combination numbers in an order that looks random and never changes: sorted by their hash."""
    return torch.tensor(sorted(range(COMBINATIONS), key=lambda i: hashlib.blake2b(f"shapes/{i}".encode()).digest()))
