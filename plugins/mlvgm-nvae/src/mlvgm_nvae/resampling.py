"""Changes of resolution: skips of resizing cells and plain transitions between scales."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from mlvgm_nvae.architecture import NVAEArchitecture
from mlvgm_nvae.convolutions import convolution


class DownSkip(nn.Module):
    """Halves the size: 1×1 convolutions of SiLU(x), each on the grid of every other pixel from another corner.

    With all four ``corners`` no pixel is lost; the outputs are concatenated.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        architecture: NVAEArchitecture,
        *,
        corners: tuple[tuple[int, int], ...],
    ) -> None:
        super().__init__()
        self.corners = corners
        share = out_channels // len(corners)
        widths = [share] * (len(corners) - 1)
        widths.append(out_channels - sum(widths))
        self.convolutions = nn.ModuleList(convolution(in_channels, width, 1, architecture) for width in widths)

    def forward(self, features: Tensor) -> Tensor:
        # The grid is cut out here because strided 1×1 convolutions of few channels in channels-last order corrupt
        # memory in their backward pass (seen with torch 2.14 on the CPU).
        corners = zip(self.convolutions, self.corners, strict=True)
        parts = [layer(functional.silu(features[:, :, row::2, column::2])) for layer, (row, column) in corners]
        return torch.cat(parts, 1) if len(parts) > 1 else parts[0]


class Upsample(nn.Module):
    """Doubles the size: nearest (the residual branches), or bilinear with aligned corners (their skips)."""

    def __init__(self, mode: str) -> None:
        super().__init__()
        self.mode = mode

    def forward(self, features: Tensor) -> Tensor:
        aligned = True if self.mode == "bilinear" else None
        return functional.interpolate(features, scale_factor=2, mode=self.mode, align_corners=aligned)


def down_skip(in_channels: int, out_channels: int, architecture: NVAEArchitecture) -> nn.Module:
    """Skip of a cell that halves the size."""
    corners = ((0, 0), (1, 1), (0, 1), (1, 0)) if architecture.down_skip == "shifted" else ((0, 0),)
    return DownSkip(in_channels, out_channels, architecture, corners=corners)


def up_skip(in_channels: int, out_channels: int, architecture: NVAEArchitecture) -> nn.Module:
    """Skip of a cell that doubles the size."""
    projection = convolution(in_channels, out_channels, 1, architecture, bias=architecture.up_skip_bias)
    return nn.Sequential(Upsample("bilinear"), projection)


def down_transition(in_channels: int, out_channels: int) -> nn.Module:
    """A halving without a cell: one convolution of each 2×2 block."""
    return nn.Conv2d(in_channels, out_channels, 2, stride=2)


def up_transition(in_channels: int, out_channels: int) -> nn.Module:
    """A doubling without a cell: 1×1 convolution at the small size, then nearest."""
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 1), Upsample("nearest"))
