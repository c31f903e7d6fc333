"""What trainings do to their images: mirror them, and add noise to the inputs of an encoder that learns to denoise."""

from __future__ import annotations

import torch
from torch import Tensor

from mlvgm.training.draws import Draws


def mirrored(images: Tensor, chance: Tensor) -> Tensor:
    """Images (B, C, H, W), left and right exchanged where ``chance``, (B,) and uniform in [0, 1), is below a half."""
    return torch.where(chance.view(-1, 1, 1, 1) < 0.5, images.flip(3), images)


def noisy_inputs(images: Tensor, draws: Draws, *, sigmas: tuple[float, float], share: float) -> Tensor:
    """Images (B, C, H, W) in [0, 1] with Gaussian noise, clamped.

    Args:
        images: clean.
        draws: of their batch.
        sigmas: least and largest standard deviation; each image's is uniform between them.
        share: of the images that get noise; the images themselves come back where there can be none.
    """
    least, largest = sigmas
    if largest == 0 or share == 0:
        return images
    sigma = least + (largest - least) * draws.uniform("sigma", (1, 1, 1))
    sigma = sigma * (draws.uniform("noisy", (1, 1, 1)) < share)
    return (images + sigma * draws.normal("input", images.shape[1:])).clamp(0, 1)
