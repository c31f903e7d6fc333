"""Volume-preserving autoregressive flows after the posterior (arXiv 2007.03898, section 3.4)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mlvgm_nvae.architecture import NVAEArchitecture
from mlvgm_nvae.convolutions import MaskedConv2d, WeightNormConv2d


class FlowCell(nn.Module):
    """z − shift(z), where every number's shift reads only numbers before it, so that the log determinant is 0.

    ``causal``: 3×3 to more channels, ELU, 5×5, two ELUs, 1×1 back, of which only the last has a bias; ``raster``: one
    ELU before the 1×1, and biases everywhere.
    """

    def __init__(self, channels: int, architecture: NVAEArchitecture, *, mirrored: bool) -> None:
        super().__init__()
        a = architecture
        hidden = a.flow_expansion * channels
        groups = hidden if a.flow_depthwise else 1
        first, second, third = a.flow_kernels

        def masked(
            inputs: int, outputs: int, kernel: int, *, groups: int = 1, strict: bool = False, bias: bool = True
        ) -> nn.Conv2d:
            if a.flow_cell == "raster":
                mask = raster_mask(kernel, keep_centre=strict).expand(outputs, inputs // groups, -1, -1)
            else:
                mask = causal_mask(inputs, outputs, kernel, groups=groups, strict=strict)
            mask = (mask.flip(2, 3) if mirrored else mask).clone()
            if a.flow_weight_norm:
                eps = a.weight_norm_eps
                return WeightNormConv2d(inputs, outputs, kernel, groups=groups, bias=bias, eps=eps, mask=mask)
            return MaskedConv2d(inputs, outputs, kernel, groups=groups, bias=bias, mask=mask)

        second_elu = [nn.ELU()] if a.flow_cell == "causal" else []
        inner_bias = a.flow_cell == "raster"
        self.shift = nn.Sequential(
            masked(channels, hidden, first, strict=True, bias=inner_bias),
            nn.ELU(),
            masked(hidden, hidden, second, groups=groups, bias=inner_bias),
            nn.ELU(),
            *second_elu,
            masked(hidden, channels, third),
        )

    def forward(self, latent: Tensor) -> Tensor:
        result: Tensor = latent - self.shift(latent)
        return result


def flow(channels: int, architecture: NVAEArchitecture) -> nn.Sequential:
    """``architecture.flows`` pairs of cells; the second of a pair reads the latent in the opposite order."""
    cells = [
        FlowCell(channels, architecture, mirrored=mirrored)
        for _ in range(architecture.flows)
        for mirrored in (False, True)
    ]
    return nn.Sequential(*cells)


def causal_mask(inputs: int, outputs: int, kernel: int, *, groups: int = 1, strict: bool = False) -> Tensor:
    """Mask of a convolution that reads rows above, pixels to the left, and at the centre only earlier channels.

    Channels are compared by their share of the whole: input i may reach output o if i / inputs comes before
    o / outputs, or, unless ``strict``, in the same share. A depthwise convolution reads its own channel at the centre
    unless strict.

    Shape:
        output: (outputs, inputs / groups, kernel, kernel).

    >>> causal_mask(2, 4, 3, strict=True)[:, :, 1, 1].tolist()
    [[0.0, 0.0], [0.0, 0.0], [1.0, 0.0], [1.0, 0.0]]
    """
    mask = torch.zeros(outputs, inputs // groups, kernel, kernel)
    middle = kernel // 2
    mask[:, :, :middle] = 1
    mask[:, :, middle, :middle] = 1
    if groups == 1:
        shares = min(inputs, outputs)
        reader = torch.arange(outputs) * shares // outputs
        read = torch.arange(inputs) * shares // inputs
        earlier = read < reader[:, None] if strict else read <= reader[:, None]
        mask[:, :, middle, middle] = earlier.to(mask.dtype)
    else:
        mask[:, :, middle, middle] = 0 if strict else 1
    return mask


def raster_mask(kernel: int, *, keep_centre: bool) -> Tensor:
    """Mask (1, 1, kernel, kernel) of the positions before the centre in reading order, equal for all channels."""
    mask = torch.zeros(kernel * kernel)
    mask[: kernel * kernel // 2 + keep_centre] = 1
    return mask.view(1, 1, kernel, kernel)
