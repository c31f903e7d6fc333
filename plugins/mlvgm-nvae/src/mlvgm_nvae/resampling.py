"""Changes of resolution: skips of resizing cells and plain transitions between scales."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from mlvgm_nvae.architecture import NVAEArchitecture
from mlvgm_nvae.convolutions import convolution


class ShiftedDownSkip(nn.Module):
    """Halves the size without losing a pixel: four strided 1×1 convolutions of SiLU(x), each on another corner."""

    corners = ((0, 0), (1, 1), (0, 1), (1, 0))

    def __init__(self, in_channels: int, out_channels: int, architecture: NVAEArchitecture) -> None:
        super().__init__()
        quarter = out_channels // 4
        widths = (quarter, quarter, quarter, out_channels - 3 * quarter)
        self.convolutions = nn.ModuleList(
            convolution(in_channels, width, 1, architecture, stride=2) for width in widths
        )

    def forward(self, features: Tensor) -> Tensor:
        active = functional.silu(features)
        corners = zip(self.convolutions, self.corners, strict=True)
        return torch.cat([layer(active[:, :, row:, column:]) for layer, (row, column) in corners], 1)


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
    if architecture.down_skip == "shifted":
        return ShiftedDownSkip(in_channels, out_channels, architecture)
    return nn.Sequential(nn.SiLU(), convolution(in_channels, out_channels, 1, architecture, stride=2))


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
