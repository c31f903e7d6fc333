"""The StyleGAN2 generator network (arXiv 1912.04958): mapping and synthesis."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mlvgm.noise import Keys, normal
from mlvgm_stylegan.stylegan2.architecture import StyleGAN2Architecture
from mlvgm_stylegan.stylegan2.equalised import EqualisedLinear
from mlvgm_stylegan.stylegan2.mapping import MappingNetwork
from mlvgm_stylegan.stylegan2.synthesis import SynthesisNetwork


class StyleGAN2(nn.Module):
    """Mapping network and synthesis network, trainable, with fresh parameters all zero; :func:`build` draws them.

    Example:
        >>> from mlvgm_stylegan.stylegan2.architecture import light
        >>> model = build(light(), seed=0)
        >>> w = model.mapping(torch.ones(2, 64))
        >>> model.synthesis([w] * model.architecture.num_ws).shape
        torch.Size([2, 1, 32, 32])
    """

    name = "stylegan2"

    def __init__(self, architecture: StyleGAN2Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        self.mapping = MappingNetwork(architecture)
        self.synthesis = SynthesisNetwork(architecture)

    def forward(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """Images of z (N, z_dim) with stored noise, nominally in [-1, 1]."""
        result: Tensor = self.synthesis([self.mapping(z, condition)] * self.architecture.num_ws)
        return result


def build(architecture: StyleGAN2Architecture, *, seed: int) -> StyleGAN2:
    """A network ready to be trained: standard-normal weights, zero biases, affine layers that start with style 1."""
    model = StyleGAN2(architecture)
    keys = Keys.of(seed=seed, purpose="initialisation", samples=[0])
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            kind = name.rpartition(".")[2]
            if kind in ("weight", "constant", "skip", "noise"):
                tensor.copy_(normal(keys, name, tensor.shape)[0])
        for layer in model.mapping.layers:
            assert isinstance(layer, EqualisedLinear)
            layer.weight.div_(layer.learning_rate)
    return model
