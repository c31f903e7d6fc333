"""The images ND-VAE learns from: one-step attacks on the base classifier, made as training goes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch

from mlvgm.noise import Keys, normal, uniform
from mlvgm_robust.attacks.geometry import per_image, project, steepest
from mlvgm_robust.attacks.losses import cross_entropy

if TYPE_CHECKING:
    from torch import Tensor


def attacked(
    classify: Callable[[Tensor], Tensor], images: Tensor, labels: Tensor, keys: Keys, *, eps: tuple[float, float]
) -> Tensor:
    """FGSM in L2 along the gradient, with a radius of its own for each image, uniform between those of ``eps``.

    Args:
        classify: images → logits, frozen.
        images: (B, C, H, W) in [0, 1].
        labels: (B,).
        keys: one row names the radii of the batch.
        eps: least and largest radius, in units of [0, 1] pixels.
    """
    point = images.detach().requires_grad_(True)
    (gradient,) = torch.autograd.grad(cross_entropy(classify(point), labels).sum(), point)
    radius = eps[0] + (eps[1] - eps[0]) * uniform(keys, "eps", (len(images),))[0].to(images)
    return project(images + per_image(radius) * steepest(gradient, "L2"), images, norm="L2", eps=radius)


def noised(images: Tensor, noise: Tensor, *, std: float) -> Tensor:
    """x + std · n, clamped to [0, 1]; the images themselves where std is 0."""
    return (images + std * noise).clamp(0, 1) if std else images


def batch_noise(keys: Keys, image: tuple[int, ...], latents: tuple[tuple[int, ...], ...], *, rows: int) -> list[Tensor]:
    """Standard normal numbers for the images and for each latent of a batch that one row of ``keys`` names."""
    names = ["image", *(f"z{index}" for index in range(len(latents)))]
    return [normal(keys, name, (rows, *shape))[0] for name, shape in zip(names, (image, *latents), strict=True)]
