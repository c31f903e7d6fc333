"""Noise on the inputs of an encoder that is trained to denoise."""

from __future__ import annotations

from torch import Tensor

from mlvgm.noise import Keys, normal, uniform


def noisy_inputs(images: Tensor, keys: Keys, *, sigmas: tuple[float, float], share: float) -> Tensor:
    """Images (B, C, H, W) in [0, 1] with Gaussian noise, clamped.

    Args:
        images: clean.
        keys: one row names the noise of the batch.
        sigmas: least and largest standard deviation; each image's is uniform between them.
        share: of the images that get noise; the images themselves come back where there can be none.
    """
    least, largest = sigmas
    if largest == 0 or share == 0:
        return images
    rows = (len(images), 1, 1, 1)
    sigma = least + (largest - least) * uniform(keys, "sigma", rows)[0]
    sigma = sigma * (uniform(keys, "noisy", rows)[0] < share)
    noise = normal(keys, "input", tuple(images.shape))[0]
    return (images + (sigma * noise).to(images)).clamp(0, 1)
