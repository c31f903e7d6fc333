"""Finite differences of the margin, against what its gradient says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from mlvgm.noise import Keys, normal
from mlvgm_robust.attacks.geometry import per_image
from mlvgm_robust.attacks.losses import margin
from mlvgm_robust.audit.subject import Subject
from mlvgm_robust.evaluation.target import Target

if TYPE_CHECKING:
    from torch import Tensor

    from mlvgm_robust.evaluation.defence import Defence


def target_of(subject: Subject, defence: Defence) -> Target:
    """``defence`` as attacks on the subject see it."""
    protocol = subject.protocol
    return Target(
        defence, samples=subject.samples, seed=protocol.seed, purpose="audit/gradient", memory=protocol.memory
    )


def gradient_of(subject: Subject, defence: Defence, points: Tensor) -> Tensor:
    """Gradient of the margin at ``points``, of their shape."""
    return target_of(subject, defence).gradient(points, margin, subject.labels, draws=1)[1]


def central_errors(subject: Subject, defence: Defence, points: Tensor, *, directions: int, step: float) -> Tensor:
    """Relative errors (B, directions) of the gradient against central differences inside the box."""
    gradient = gradient_of(subject, defence, points).flatten(1)
    target = target_of(subject, defence)
    scale = gradient.norm(dim=1) / gradient.shape[1] ** 0.5
    errors = []
    for number in range(directions):
        direction = _direction(subject, points, number)
        with torch.no_grad():
            ahead, behind = (
                margin(target(points + sign * step * direction, draws=1).squeeze(1), subject.labels) for sign in (1, -1)
            )
        slope = (ahead - behind) / (2 * step)
        expected = (gradient * direction.flatten(1)).sum(1)
        # A direction nearly across the gradient has a derivative near zero: judged by that of a typical one.
        size = torch.stack([slope.abs(), expected.abs(), 0.3 * scale]).amax(0)
        errors.append((slope - expected).abs() / size.clamp_min(1e-300))
    return torch.stack(errors, 1)


def inward_errors(
    subject: Subject, defence: Defence, points: Tensor, *, among: Tensor, directions: int, step: float, floor: Tensor
) -> tuple[Tensor, Tensor]:
    """Relative error (B,) of the gradient against one-sided differences that stay in the box, over all directions.

    Args:
        subject: gives labels and sample ids.
        defence: deterministic.
        points: (B, C, H, W) in the box; pixels that are exactly 0 or 1 move inwards.
        among: (B, C, H, W) bool, the pixels that move.
        directions: how many.
        step: L2 length of each.
        floor: (B,) size of slopes below which an error is judged by this.

    Returns:
        the errors, and the sizes (B,) of the slopes that they are relative to, before the floor.
    """
    target = target_of(subject, defence)
    gradient = gradient_of(subject, defence, points)
    with torch.no_grad():
        here = margin(target(points, draws=1).squeeze(1), subject.labels)
    slopes, expected = [], []
    for number in range(directions):
        direction = _direction(subject, points, number)
        direction = torch.where(points <= 0, direction.abs(), torch.where(points >= 1, -direction.abs(), direction))
        direction = direction * among
        direction = direction / per_image(direction.flatten(1).norm(dim=1).clamp_min(1e-12))
        there = (points + step * direction).clamp(0, 1)
        with torch.no_grad():
            slopes.append((margin(target(there, draws=1).squeeze(1), subject.labels) - here) / step)
        expected.append((gradient * (there - points)).flatten(1).sum(1) / step)
    seen, said = torch.stack(slopes, 1), torch.stack(expected, 1)
    size = torch.maximum(seen.norm(dim=1), said.norm(dim=1))
    return (seen - said).norm(dim=1) / torch.maximum(size, floor).clamp_min(1e-30), size


def _direction(subject: Subject, points: Tensor, number: int) -> Tensor:
    keys = Keys.of(seed=subject.protocol.seed, purpose="audit/directions", samples=subject.samples)
    direction = normal(keys, f"direction{number}", points.shape[1:]).to(points)
    return direction / per_image(direction.flatten(1).norm(dim=1))
