"""Residual cells of encoder and decoder (arXiv 2007.03898, figure 3), and the bottleneck of the light variant."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from mlvgm_nvae.architecture import Cell, NVAEArchitecture
from mlvgm_nvae.convolutions import convolution
from mlvgm_nvae.resampling import Upsample, down_skip, down_transition, up_skip, up_transition
from mlvgm_nvae.squeeze_excitation import SqueezeExcitation

Resize = Literal["keep", "down", "up"]


class ResidualCell(nn.Module):
    """skip(x) + scale · branch(x)."""

    def __init__(self, branch: nn.Module, skip: nn.Module, scale: float) -> None:
        super().__init__()
        self.branch = branch
        self.skip = skip
        self.scale = scale

    def forward(self, features: Tensor) -> Tensor:
        residual = self.branch(features)
        result: Tensor = self.skip(features) + (residual if self.scale == 1.0 else self.scale * residual)
        return result


def cell(
    in_channels: int, out_channels: int, spec: Cell, architecture: NVAEArchitecture, *, resize: Resize = "keep"
) -> nn.Module:
    """The cell that ``spec`` describes; with ``resize`` it halves or doubles the size."""
    if spec.kind == "bottleneck":
        return _bottleneck(in_channels, out_channels, resize)
    build = _batch_norm_branch if spec.kind == "residual" else _inverted_branch
    layers = build(in_channels, out_channels, spec, architecture, resize)
    if spec.squeeze_excitation:
        layers.append(SqueezeExcitation(out_channels))
    skips = {"down": down_skip, "up": up_skip}
    changes = resize != "keep"
    skip = skips[resize](in_channels, out_channels, architecture) if changes else nn.Identity()
    return ResidualCell(nn.Sequential(*layers), skip, scale=0.1)


def transition(
    in_channels: int, out_channels: int, spec: Cell, architecture: NVAEArchitecture, *, resize: Literal["down", "up"]
) -> nn.Module:
    """What connects two scales."""
    if architecture.transition == "cell":
        return cell(in_channels, out_channels, spec, architecture, resize=resize)
    plain = {"down": down_transition, "up": up_transition}
    return plain[resize](in_channels, out_channels)


def _batch_norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, momentum=0.05)


def _batch_norm_branch(
    in_channels: int, out_channels: int, spec: Cell, architecture: NVAEArchitecture, resize: Resize
) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for number, (kernel, dilation) in enumerate(zip(spec.kernels, spec.steps, strict=True)):
        first = number == 0
        channels = in_channels if first else out_channels
        layers += [_batch_norm(channels)] if spec.batch_norm else []
        layers.append(nn.SiLU() if spec.activation == "silu" else nn.ELU())
        if first and resize == "up":
            layers.append(Upsample("nearest"))
        stride = 2 if first and resize == "down" else 1
        layers.append(convolution(channels, out_channels, kernel, architecture, stride=stride, dilation=dilation))
    return layers


def _inverted_branch(
    in_channels: int, out_channels: int, spec: Cell, architecture: NVAEArchitecture, resize: Resize
) -> list[nn.Module]:
    hidden, kernel = spec.expansion * in_channels, spec.kernels[0]
    depthwise = nn.Conv2d(
        hidden,
        hidden,
        kernel,
        stride=2 if resize == "down" else 1,
        padding=kernel // 2,
        groups=hidden // spec.group_width,
        bias=False,
    )
    layers: list[nn.Module] = [Upsample("nearest")] if resize == "up" else []
    return [
        *layers,
        _batch_norm(in_channels),
        nn.Conv2d(in_channels, hidden, 1, bias=False),
        _batch_norm(hidden),
        nn.SiLU(),
        depthwise,
        _batch_norm(hidden),
        nn.SiLU(),
        nn.Conv2d(hidden, out_channels, 1, bias=False),
        _batch_norm(out_channels),
    ]


def bottleneck_width(channels: int) -> int:
    """Hidden channels of a bottleneck."""
    return max(16, channels // 2)


def _bottleneck(in_channels: int, out_channels: int, resize: Resize) -> nn.Module:
    if resize != "keep" or in_channels != out_channels:
        raise ValueError("a bottleneck cell keeps size and channels")
    hidden = bottleneck_width(in_channels)
    up = nn.Conv2d(hidden, out_channels, 1)
    # Starts near the identity; without a normalisation deep stacks of full-size branches diverge.
    up.weight.data.mul_(0.1)
    branch = nn.Sequential(
        nn.SiLU(),
        nn.Conv2d(in_channels, hidden, 1),
        nn.SiLU(),
        nn.Conv2d(hidden, hidden, 3, padding=1),
        nn.SiLU(),
        up,
    )
    return ResidualCell(branch, nn.Identity(), scale=1.0)
