"""Projection onto the intersection of a hyperplane and the box [0, 1], the inner step of FAB and DeepFool."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from mlvgm.protocols.attack import Norm

if TYPE_CHECKING:
    from torch import Tensor


def to_hyperplane(points: Tensor, normal: Tensor, value: Tensor, *, norm: Norm) -> Tensor:
    """The smallest step that brings each point onto its hyperplane without leaving the box.

    Minimises ‖d‖ subject to ⟨w, d⟩ + v = 0 and 0 ≤ x + d ≤ 1 (arXiv 1907.02044, section 3). For both norms the solution
    moves coordinate i towards the plane by min(τ u_i, room_i), with u = 1 for Linf and u = |w| for L2, and room the way
    to the box's face. How far this gets, Σ |w_i| min(τ u_i, room_i), grows piecewise linearly in τ with kinks at
    room_i / u_i; sorting them finds τ in one pass for the whole batch. For L1 the steepest coordinates go first, each
    as far as the box lets it.

    Args:
        points: (B, D) in the box.
        normal: (B, D) w.
        value: (B,) v, the linear function at the point.
        norm: which norm is small.

    Shape:
        output: (B, D) steps. Where the box does not meet the plane, the step goes as near to it as the box allows.
    """
    w = normal.double()
    direction = -value.double().sign()[:, None] * w.sign()
    room = ((direction > 0).double() - points.double()) * direction
    weight = w.abs()
    if norm == "L1":
        order = weight.argsort(dim=1, descending=True)
        gain = (weight * room).gather(1, order)
        left = (value.double().abs()[:, None] - (gain.cumsum(1) - gain)).clamp_min(0)
        moved = (left / weight.gather(1, order).clamp_min(1e-300)).minimum(room.gather(1, order))
        return (direction * torch.zeros_like(moved).scatter(1, order, moved)).to(points.dtype)
    speed = weight.new_ones(()).expand_as(weight) if norm == "Linf" else weight
    kinks, order = (room / speed.clamp_min(1e-300)).sort(dim=1)
    slopes = (weight * speed).gather(1, order)
    rest = slopes.flip(1).cumsum(1).flip(1)  # Σ of the slopes of coordinate k and all that meet the box after it
    full = (weight * room).gather(1, order).cumsum(1)
    reached = full + kinks * (rest - slopes)
    wanted = value.double().abs()[:, None]
    k = (reached < wanted).sum(1, keepdim=True)
    inside = k.clamp_max(points.shape[1] - 1)
    before = full.gather(1, inside) - (weight * room).gather(1, order).gather(1, inside)
    tau = (wanted - before).clamp_min(0) / rest.gather(1, inside).clamp_min(1e-300)
    # k = D: even the whole box is not enough.
    tau = tau.masked_fill(k == points.shape[1], float("inf"))
    moved = (tau * speed).nan_to_num(nan=0.0, posinf=float("inf")).minimum(room)
    return (direction * moved).to(points.dtype)
