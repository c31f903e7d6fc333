"""Learning rates as functions of the step; imports no torch."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def warm_cosine(step: int, *, steps: int, warmup: int) -> float:
    """Factor on the learning rate: a linear rise over ``warmup`` steps, then a cosine to 0.

    >>> [round(warm_cosine(step, steps=6, warmup=2), 2) for step in range(6)]
    [0.5, 1.0, 1.0, 0.85, 0.5, 0.15]
    """
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(steps - warmup, 1)))


def set_rate(rate: float, *optimisers: torch.optim.Optimizer) -> None:
    """Give every group of parameters the learning rate ``rate``, times the group's own ``factor`` if it has one."""
    for group in (group for optimiser in optimisers for group in optimiser.param_groups):
        group["lr"] = rate * group.get("factor", 1.0)
