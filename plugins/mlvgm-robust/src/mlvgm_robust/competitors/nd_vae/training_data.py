"""The images ND-VAE learns from: one-step attacks on the base classifier, made as training goes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch

from mlvgm.training.draws import Draws
from mlvgm_robust.attacks.geometry import per_image, project, steepest
from mlvgm_robust.attacks.losses import cross_entropy

if TYPE_CHECKING:
    from torch import Tensor


def attacked(
    classify: Callable[[Tensor], Tensor], images: Tensor, labels: Tensor, draws: Draws, *, eps: tuple[float, float]
) -> Tensor:
    """FGSM in L2 along the gradient, with a radius of its own for each image, uniform between those of ``eps``.

    Args:
        classify: images → logits, frozen.
        images: (B, C, H, W) in [0, 1].
        labels: (B,).
        draws: of the batch, for the radii.
        eps: least and largest radius, in units of [0, 1] pixels.
    """
    point = images.detach().requires_grad_(True)
    (gradient,) = torch.autograd.grad(cross_entropy(classify(point), labels).sum(), point)
    radius = eps[0] + (eps[1] - eps[0]) * draws.uniform("eps")
    return project(images + per_image(radius) * steepest(gradient, "L2"), images, norm="L2", eps=radius)


def noised(images: Tensor, noise: Tensor, *, std: float) -> Tensor:
    """x + std · n, clamped to [0, 1]; the images themselves where std is 0."""
    return (images + std * noise).clamp(0, 1) if std else images


def batch_noise(draws: Draws, image: tuple[int, ...], latents: tuple[tuple[int, ...], ...]) -> list[Tensor]:
    """Standard normal numbers for the images and for each latent of a batch."""
    names = ["image", *(f"z{index}" for index in range(len(latents)))]
    return [draws.normal(name, shape) for name, shape in zip(names, (image, *latents), strict=True)]
