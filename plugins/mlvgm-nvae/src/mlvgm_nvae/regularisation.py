"""Regularisers of NVAE (arXiv 2007.03898, section 3.2): spectral norms and batch-norm scales."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from mlvgm_nvae.convolutions import effective_weight


def batch_norm_penalty(model: nn.Module) -> Tensor:
    """Sum over batch-norm layers of the largest |scale|."""
    scales = [layer.weight.abs().max() for layer in model.modules() if isinstance(layer, nn.BatchNorm2d)]
    return torch.stack(scales).sum() if scales else torch.zeros(())


def singular_values(model: nn.Module) -> Tensor:
    """Largest singular value of each convolution's effective weight as an (out, rest) matrix, exact."""
    layers = [layer for layer in model.modules() if isinstance(layer, nn.Conv2d)]
    return torch.stack([torch.linalg.matrix_norm(effective_weight(layer).flatten(1), ord=2) for layer in layers])


class SpectralPenalty:
    """Sum over convolutions of the largest singular value, by power iteration that goes on where it last stopped.

    Args:
        model: its convolutions.
        seed: of the starting vectors.
        rounds: iterations at each call.
    """

    def __init__(self, model: nn.Module, *, seed: int = 0, rounds: int = 4) -> None:
        self.layers = [layer for layer in model.modules() if isinstance(layer, nn.Conv2d)]
        self.rounds = rounds
        generator = torch.Generator().manual_seed(seed)
        self.vectors = [torch.randn(len(layer.weight), generator=generator) for layer in self.layers]

    def __call__(self) -> Tensor:
        """The penalty; differentiable in the weights, not in the singular vectors."""
        total = torch.zeros(())
        for number, layer in enumerate(self.layers):
            matrix = effective_weight(layer).flatten(1)
            left = self.vectors[number].to(matrix)
            with torch.no_grad():
                for _ in range(self.rounds):
                    right = functional.normalize(matrix.T @ left, dim=0)
                    left = functional.normalize(matrix @ right, dim=0)
            self.vectors[number] = left
            total = total.to(matrix) + left @ matrix @ right
        return total

    def state_dict(self) -> dict[str, list[Tensor]]:
        """The singular vectors found so far."""
        return {"vectors": self.vectors}

    def load_state_dict(self, state_dict: dict[str, list[Tensor]]) -> None:
        """Go on from other ones."""
        self.vectors = list(state_dict["vectors"])
