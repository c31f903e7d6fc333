"""Adam (arXiv 1412.6980, algorithm 1) whose state has a row an image, so that images can leave the batch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import torch

if TYPE_CHECKING:
    from torch import Tensor

_BETA_1, _BETA_2, _EPSILON = 0.9, 0.999, 1e-8


@dataclass(frozen=True)
class Adam:
    """Running means of the gradient and of its square.

    Args:
        rate: length of a step where gradients agree, one for all or broadcasting against the values.
        first: (B, …) m.
        second: (B, …) v.
        steps: t, steps taken.
    """

    rate: float | Tensor
    first: Tensor
    second: Tensor
    steps: int = 0

    @classmethod
    def of(cls, values: Tensor, *, rate: float | Tensor) -> Self:
        """The state before the first step on ``values``."""
        return cls(rate, torch.zeros_like(values), torch.zeros_like(values))

    def __getitem__(self, rows: Tensor) -> Self:
        """The state of some images."""
        return replace(self, first=self.first[rows], second=self.second[rows])

    def step(self, values: Tensor, gradient: Tensor) -> tuple[Tensor, Self]:
        """``values`` moved against ``gradient``, and the state after it."""
        steps = self.steps + 1
        first = torch.lerp(self.first, gradient, 1 - _BETA_1)
        second = torch.addcmul(_BETA_2 * self.second, gradient, gradient, value=1 - _BETA_2)
        size = second.sqrt() / (1 - _BETA_2**steps) ** 0.5 + _EPSILON
        moved = values - self.rate / (1 - _BETA_1**steps) * (first / size)
        return moved, replace(self, first=first, second=second, steps=steps)
