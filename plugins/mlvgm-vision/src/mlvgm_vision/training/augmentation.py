"""Random flips and shifts, a pure function of their keys."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from mlvgm.noise import Keys, uniform
from mlvgm.training.augmentation import mirrored


def augment(images: Tensor, keys: Keys, *, shift: int, flip: bool) -> Tensor:
    """Shift and mirror images, each as its row of ``keys`` says; pixels that come in are zero.

    Args:
        images: (B, C, H, W).
        keys: B rows.
        shift: largest shift in each direction, pixels.
        flip: mirror half of them left to right.

    Shape:
        output: (B, C, H, W).
    """
    chance = uniform(keys, "augment", (3,))
    height, width = images.shape[2:]
    top, left = ((2 * shift + 1) * chance[:, :2]).long().unbind(1)
    rows = top[:, None] + torch.arange(height)
    columns = left[:, None] + torch.arange(width)
    padded = F.pad(images, [shift] * 4).permute(0, 2, 3, 1)
    batch = torch.arange(len(images))[:, None, None]
    shifted = padded[batch, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
    return mirrored(shifted, chance[:, 2]) if flip else shifted
