"""Spectral norm (arXiv 1802.05957, algorithm 1): a power step each forward in training, folded for evaluation."""

from __future__ import annotations

import copy
from typing import TypeVar, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize
from torch.nn.utils import parametrize

LAYERS = (nn.Linear, nn.Conv2d)

Network = TypeVar("Network", bound=nn.Module)


def power_step(matrix: Tensor, u: Tensor, *, eps: float) -> tuple[Tensor, Tensor]:
    """One step of power iteration.

    Args:
        matrix: (out, in).
        u: estimate of the first left singular vector, (1, out).
        eps: lower bound of the norms that vectors are divided by.

    Returns:
        The estimate of the largest singular value, differentiable in ``matrix``, and the next ``u``.
    """
    with torch.no_grad():
        v = normalize(u @ matrix, eps=eps)
        u = normalize(v @ matrix.T, eps=eps)
    return (v @ matrix.T @ u.T).squeeze(), u


class SpectralNorm(nn.Module):
    """Parametrisation of a weight: divided by the singular value that one power step from ``u`` finds.

    In training the step is kept, in evaluation it is taken and forgotten: repeated evaluation gives the same weights.

    Args:
        rows: first dimension of the weight.
        eps: lower bound of norms.
    """

    u: Tensor

    def __init__(self, rows: int, *, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.register_buffer("u", torch.randn(1, rows))

    def forward(self, weight: Tensor) -> Tensor:
        sigma, u = power_step(weight.flatten(1), self.u, eps=self.eps)
        if self.training:
            self.u.copy_(u)
        return weight / sigma


def spectral_norm(
    network: Network, *, seed: int, eps: float = 1e-6, layers: tuple[type[nn.Module], ...] = LAYERS
) -> Network:
    """Put spectral norm on every layer of ``network`` that is one of ``layers``, in place.

    Args:
        network: changed and returned.
        seed: of the vectors that power iteration starts from.
        eps: lower bound of norms.
        layers: kinds of layers with a ``weight``; BigGAN leaves its class embedding out.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for layer in list(network.modules()):
            if isinstance(layer, layers):
                rows = len(layer.get_parameter("weight"))
                parametrize.register_parametrization(layer, "weight", SpectralNorm(rows, eps=eps))
    return network


def fold(network: Network) -> Network:
    """A copy of ``network`` for evaluation with plain weights, which computes the same."""
    folded = copy.deepcopy(network).eval()
    for layer in list(folded.modules()):
        if parametrize.is_parametrized(layer, "weight"):
            weight = cast(Tensor, layer.weight).detach()
            # torch's own removal edits the class, which the copied layer shares with the original.
            layer.__class__ = parametrize.type_before_parametrizations(layer)
            del layer.parametrizations
            layer.weight = nn.Parameter(weight)
    return folded
