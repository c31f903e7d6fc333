"""Adaptive discriminator augmentation (arXiv 2006.06676) with three kinds of change: flip, translation, brightness."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from mlvgm.noise import Keys, normal, uniform

SHARE, DEVIATION = 0.125, 0.2


def augment(images: Tensor, keys: Keys, *, probability: Tensor | float) -> Tensor:
    """Each image, each change with its own ``probability``; differentiable in the images.

    Flips left to right, translations of up to an eighth of the size with reflection at the border, and brightness
    with standard deviation 0.2 are those of arXiv 2006.06676, appendix B.

    Args:
        images: (N, C, H, W) in [−1, 1].
        keys: one row, names the randomness of the batch.
        probability: of each change.
    """
    count, _, height, width = images.shape

    def happens(name: str) -> Tensor:
        return (uniform(keys, name, (count,))[0] < probability).to(images.device)

    half = uniform(keys, "flip side", (count,))[0].to(images.device) < 0.5
    images = torch.where((happens("flip") & half)[:, None, None, None], images.flip(3), images)

    share = (2 * uniform(keys, "translation", (2, count))[0].to(images.device) - 1) * SHARE * happens("translate")
    images = _translate(images, (share[0] * height).round().long(), (share[1] * width).round().long())

    shift = DEVIATION * normal(keys, "brightness", (count,))[0].to(images.device) * happens("brighten")
    return images + shift[:, None, None, None]


def updated_probability(probability: float, *, signs: float, target: float, images: int, ramp: int) -> float:
    """The probability after ``images`` more real images: up while D overfits, else down (section 3.1).

    Args:
        probability: now.
        signs: r_t = E[sign D(x)] on augmented real images.
        target: for r_t; 0.6 in the paper.
        images: shown since the last update.
        ramp: images over which the probability could go from 0 to 1.
    """
    direction = (signs > target) - (signs < target)
    return min(max(probability + direction * images / ramp, 0.0), 1.0)


def _translate(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    _, _, height, width = images.shape
    margin_rows, margin_columns = int(SHARE * height) + 1, int(SHARE * width) + 1
    padded = F.pad(images, (margin_columns, margin_columns, margin_rows, margin_rows), mode="reflect")
    line = torch.arange(height, device=images.device) + margin_rows - rows[:, None]
    column = torch.arange(width, device=images.device) + margin_columns - columns[:, None]
    batch = torch.arange(len(images), device=images.device)[:, None, None]
    return padded.permute(0, 2, 3, 1)[batch, line[:, :, None], column[:, None, :]].permute(0, 3, 1, 2)
