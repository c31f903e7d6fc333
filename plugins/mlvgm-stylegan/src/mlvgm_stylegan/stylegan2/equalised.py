"""Layers with an equalised learning rate (arXiv 1710.10196, section 4.1): stored weights are scaled when used."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import linear


class EqualisedLinear(nn.Module):
    """y = gain · W x + learning_rate · b with gain = learning_rate / sqrt(fan_in).

    Args:
        inputs: fan-in.
        outputs: rows of the matrix.
        bias: initial value of what is added, after the multiplier.
        learning_rate: multiplier.
    """

    def __init__(self, inputs: int, outputs: int, *, bias: float = 0.0, learning_rate: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(outputs, inputs))
        self.bias = nn.Parameter(torch.full((outputs,), bias / learning_rate))
        self.gain = learning_rate / inputs**0.5
        self.learning_rate = learning_rate

    @torch.no_grad()
    def fold(self) -> None:
        """Put the gains into weight and bias, which no longer change."""
        self.weight.mul_(self.gain)
        self.bias.mul_(self.learning_rate)
        self.gain = self.learning_rate = 1.0

    def forward(self, x: Tensor) -> Tensor:
        """Outputs (N, outputs) of x (N, inputs)."""
        if self.gain == self.learning_rate == 1:
            return linear(x, self.weight, self.bias)
        return linear(x, self.gain * self.weight, self.learning_rate * self.bias)
