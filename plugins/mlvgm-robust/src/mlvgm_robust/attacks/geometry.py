"""Linf and L2 balls inside the box [0, 1]: distance, projection, steepest direction, random points on the sphere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from pydantic import BaseModel, ConfigDict, Field

from mlvgm.noise import Keys, normal, uniform
from mlvgm.protocols.attack import Norm

if TYPE_CHECKING:
    from torch import Tensor

_TINY = 1e-12


class BallConfig(BaseModel):
    """The threat model, common to all attacks."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    norm: Norm = Field("L2", description="norm of the perturbation")
    eps: float = Field(
        1.0,
        ge=0,
        allow_inf_nan=False,
        description="radius of the ball, in units of [0, 1] pixels; 0 is the null control",
    )


def per_image(values: Tensor) -> Tensor:
    """(B,) → (B, 1, 1, 1), to broadcast over images."""
    return values[:, None, None, None]


def distance(delta: Tensor, norm: Norm) -> Tensor:
    """Norm of each perturbation, (B, …) → (B,)."""
    flat = delta.flatten(1)
    return flat.abs().amax(1) if norm == "Linf" else flat.norm(dim=1)


def project(candidates: Tensor, images: Tensor, *, norm: Norm, eps: float) -> Tensor:
    """The candidates moved into the ball around ``images`` and the box.

    For Linf this is the exact projection. For L2 it shrinks to the ball and then clamps, which keeps the point in the
    ball, because the centre is in the box.
    """
    if norm == "Linf":
        return torch.minimum(torch.maximum(candidates, images - eps), images + eps).clamp(0, 1)
    delta = candidates - images
    shrink = (eps / distance(delta, norm).clamp_min(_TINY)).clamp_max(1)
    return (images + delta * per_image(shrink)).clamp(0, 1)


def steepest(gradient: Tensor, norm: Norm) -> Tensor:
    """Direction of norm 1 along which a linear function with this gradient grows fastest; 0 where the gradient is."""
    if norm == "Linf":
        return gradient.sign()
    return gradient / per_image(distance(gradient, norm).clamp_min(_TINY))


def random_start(images: Tensor, *, norm: Norm, eps: float, keys: Keys, name: str) -> Tensor:
    """A random point at distance ``eps`` before the clamp to the box: uniform direction for Linf, Gaussian for L2."""
    shape = images.shape[1:]
    direction = 2 * uniform(keys, name, shape) - 1 if norm == "Linf" else normal(keys, name, shape)
    direction = direction.to(images)
    return project(images + eps * direction / per_image(distance(direction, norm)), images, norm=norm, eps=eps)
