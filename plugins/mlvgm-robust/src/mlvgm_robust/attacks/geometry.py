"""Linf, L2 and L1 balls inside the box [0, 1]: distance, projection, steepest direction, random starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from mlvgm.noise import Keys, normal, uniform
from mlvgm.protocols.attack import Norm

if TYPE_CHECKING:
    from torch import Tensor

_TINY = 1e-12


def per_image(values: Tensor) -> Tensor:
    """(B,) → (B, 1, 1, 1), to broadcast over images."""
    return values[:, None, None, None]


def distance(delta: Tensor, norm: Norm) -> Tensor:
    """Norm of each perturbation, (B, …) → (B,)."""
    flat = delta.flatten(1)
    if norm == "Linf":
        return flat.abs().amax(1)
    return flat.abs().sum(1) if norm == "L1" else flat.norm(dim=1)


def dual_norm(gradient: Tensor, norm: Norm) -> Tensor:
    """How much a linear function with this gradient grows in a step of norm 1, (B, …) → (B,)."""
    duals: dict[Norm, Norm] = {"Linf": "L1", "L2": "L2", "L1": "Linf"}
    return distance(gradient, duals[norm])


def inwards(gradient: Tensor, points: Tensor) -> Tensor:
    """The gradient without what points out of the box, which would spend a step's length on nothing."""
    blocked = ((points <= 0) & (gradient < 0)) | ((points >= 1) & (gradient > 0))
    return gradient.masked_fill(blocked, 0)


def project(candidates: Tensor, images: Tensor, *, norm: Norm, eps: float | Tensor) -> Tensor:
    """The candidates moved into the ball around ``images`` and the box.

    For Linf and L1 this is the exact projection onto both. For L2 it shrinks to the ball and then clamps, which keeps
    the point in the ball, because the centre is in the box.

    Args:
        candidates: (B, C, H, W) any points.
        images: (B, C, H, W) centres, in the box.
        norm: of the ball.
        eps: its radius, one for all or (B,).
    """
    if norm == "Linf":
        radius = per_image(eps) if isinstance(eps, torch.Tensor) else eps
        return torch.minimum(torch.maximum(candidates, images - radius), images + radius).clamp(0, 1)
    delta = candidates - images
    if norm == "L1":
        return (images + to_l1_ball(delta.flatten(1), images.flatten(1), eps).reshape_as(images)).clamp(0, 1)
    shrink = (eps / distance(delta, norm).clamp_min(_TINY)).clamp_max(1)
    return (images + delta * per_image(shrink)).clamp(0, 1)


def to_l1_ball(delta: Tensor, images: Tensor, eps: float | Tensor) -> Tensor:
    """The nearest perturbation (in L2) with L1 norm at most ``eps`` that stays in the box, (B, D) → (B, D).

    It is sign(δ) min(max(|δ| − λ, 0), room) with one λ ≥ 0 an image (arXiv 2103.01208, proposition 1), room being the
    way to the face of the box. Its norm falls piecewise linearly in λ, with kinks at |δ| and |δ| − room; sorting them
    finds λ in one pass for the whole batch.
    """
    size = delta.abs().double()
    room = torch.where(delta > 0, 1 - images, images).double()
    kinks, order = torch.cat([size, size - room], 1).clamp_min(0).sort(dim=1, descending=True)
    signs = torch.where(order < size.shape[1], 1.0, -1.0).double()
    count, total = signs.cumsum(1), (signs * kinks).cumsum(1)
    radius = eps.double()[:, None] if isinstance(eps, torch.Tensor) else torch.full_like(total[:, :1], eps)
    # Norm at kink k is total_k − count_k · kink_k; λ lies between the last kink inside the ball and the next one.
    inside = ((total - count * kinks) <= radius).sum(1, keepdim=True) - 1
    shrink = (total.gather(1, inside) - radius) / count.gather(1, inside).clamp_min(1)
    kept = (size - shrink.clamp_min(0)).clamp_min(0).minimum(room)
    return (kept * delta.sign()).to(delta.dtype)


def steepest(gradient: Tensor, norm: Norm, *, share: float = 0.05) -> Tensor:
    """Direction of norm 1 along which a linear function with this gradient grows fastest; 0 where the gradient is.

    In L1 that would be one coordinate a step. There the step is spread evenly over the ``share`` of coordinates with
    the largest gradient instead (sparse L1 descent, arXiv 1904.13000).
    """
    if norm == "Linf":
        return gradient.sign()
    if norm == "L1":
        flat = gradient.flatten(1)
        largest = flat.abs().topk(max(1, round(share * flat.shape[1])), dim=1).indices
        gradient = torch.zeros_like(flat).scatter(1, largest, flat.gather(1, largest).sign()).reshape_as(gradient)
    return gradient / per_image(distance(gradient, norm).clamp_min(_TINY))


def random_start(images: Tensor, *, norm: Norm, eps: float, keys: Keys, name: str) -> Tensor:
    """A random point at distance ``eps`` before the clamp to the box: uniform direction for Linf, else Gaussian."""
    shape = images.shape[1:]
    direction = 2 * uniform(keys, name, shape) - 1 if norm == "Linf" else normal(keys, name, shape)
    direction = direction.to(images)
    return project(images + eps * direction / per_image(distance(direction, norm)), images, norm=norm, eps=eps)
