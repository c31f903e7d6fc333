"""The mapping network: base noise z, and a class embedding, to a style w."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from mlvgm.errors import InputError
from mlvgm_stylegan.stylegan2.architecture import MappingArchitecture
from mlvgm_stylegan.stylegan2.equalised import EqualisedLinear


class MappingNetwork(nn.Module):
    """Fully connected layers from normalised z to w (arXiv 1812.04948, section 2).

    Attributes:
        average: the mean style, towards which truncation pulls; training keeps it up to date.
    """

    average: Tensor

    def __init__(self, architecture: MappingArchitecture) -> None:
        super().__init__()
        a = architecture
        embedding = (a.embedding_dim or a.w_dim) if a.classes else 0
        self.embed = EqualisedLinear(a.classes, embedding) if a.classes else None
        width = a.mapping_width or a.w_dim
        widths = [a.z_dim + embedding, *[width] * (a.mapping_layers - 1), a.w_dim]
        self.layers = nn.ModuleList(
            EqualisedLinear(inputs, outputs, learning_rate=a.mapping_learning_rate)
            for inputs, outputs in pairwise(widths)
        )
        self.register_buffer("average", torch.zeros(a.w_dim))

    def forward(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """Styles (N, w_dim), not truncated.

        Args:
            z: (N, z_dim), of any length: it is normalised.
            condition: class embedding (N, embedding_dim), for class-conditional models.

        Raises:
            InputError: the model is conditional and ``condition`` is missing.
        """
        x = normalised(z)
        if self.embed is not None:
            if condition is None:
                raise InputError("a class-conditional StyleGAN2 needs a condition", hint="embed_classes makes one")
            x = torch.cat([x, normalised(condition)], 1)
        for layer in self.layers:
            x = leaky_relu(layer(x), 0.2) * 2**0.5
        return x


def normalised(x: Tensor) -> Tensor:
    """Rows divided by their root mean square."""
    return x * (x.square().mean(1, keepdim=True) + 1e-8).rsqrt()
