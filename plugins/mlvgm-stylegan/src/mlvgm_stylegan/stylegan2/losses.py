"""Losses of StyleGAN2 training: non-saturating, R1, path length."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import softplus


def discriminator_loss(real: Tensor, generated: Tensor) -> Tensor:
    """−log σ(D(x)) − log(1 − σ(D(G(z)))), means over the logits of both (arXiv 1406.2661, equation 1)."""
    return softplus(-real).mean() + softplus(generated).mean()


def generator_loss(generated: Tensor) -> Tensor:
    """−log σ(D(G(z))), the mean over logits: the non-saturating form (arXiv 1406.2661, section 3)."""
    return softplus(-generated).mean()


def r1_penalty(logits: Tensor, images: Tensor) -> Tensor:
    """E‖∇D(x)‖² on real images, to be weighted with γ / 2 (arXiv 1801.04406, equation 9).

    Args:
        logits: (N,), computed from ``images``.
        images: (N, C, H, W), requiring gradients.
    """
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return gradient.square().sum((1, 2, 3)).mean()


def path_lengths(images: Tensor, ws: Tensor, directions: Tensor) -> Tensor:
    """‖J_wᵀ y‖ of every image, the root mean square over its layers' styles (arXiv 1912.04958, equation 4).

    Args:
        images: (N, C, H, W), made from ``ws``.
        ws: (N, num_ws, w_dim), requiring gradients.
        directions: y, of the images' shape; standard normal over √(H · W), so that lengths do not grow with the size.

    Shape:
        output: (N,), differentiable.
    """
    (gradient,) = torch.autograd.grad((images * directions).sum(), ws, create_graph=True)
    return gradient.square().sum(2).mean(1).sqrt()


def path_length_penalty(lengths: Tensor, mean: Tensor) -> Tensor:
    """E(‖J_wᵀ y‖ − a)² for the running mean a (arXiv 1912.04958, equation 4)."""
    return (lengths - mean).square().mean()
