"""Convolutions with weight normalisation and masks."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mlvgm_nvae.architecture import NVAEArchitecture


class WeightNormConv2d(nn.Conv2d):
    """Convolution whose filters are gain · direction / (‖direction‖ + eps) (arXiv 1602.07868).

    Args:
        eps: added to the norm.
        mask: the direction is multiplied by it first, (out, in / groups, height, width).
    """

    mask: Tensor | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        *,
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
        bias: bool = True,
        eps: float = 0.0,
        mask: Tensor | None = None,
    ) -> None:
        padding = dilation * (kernel // 2)
        super().__init__(
            in_channels, out_channels, kernel, stride, padding, dilation=dilation, groups=groups, bias=bias
        )
        self.eps = eps
        self.register_buffer("mask", mask, persistent=False)
        self.gain = nn.Parameter(_norm(self.direction()).detach() + eps)

    def direction(self) -> Tensor:
        """The masked, not yet normalised filters."""
        mask = self.mask
        return self.weight if mask is None else self.weight * mask

    def effective_weight(self) -> Tensor:
        """The filters the convolution uses."""
        direction = self.direction()
        return self.gain * direction / (_norm(direction) + self.eps)

    def forward(self, features: Tensor) -> Tensor:
        result: Tensor = self._conv_forward(features, self.effective_weight(), self.bias)
        return result


class MaskedConv2d(nn.Conv2d):
    """Convolution whose filters are multiplied by a stored ``mask`` of their shape."""

    mask: Tensor

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int, *, mask: Tensor, groups: int = 1, bias: bool = True
    ) -> None:
        super().__init__(in_channels, out_channels, kernel, padding=kernel // 2, groups=groups, bias=bias)
        self.register_buffer("mask", mask)

    def effective_weight(self) -> Tensor:
        """The filters the convolution uses."""
        return self.weight * self.mask

    def forward(self, features: Tensor) -> Tensor:
        result: Tensor = self._conv_forward(features, self.effective_weight(), self.bias)
        return result


def effective_weight(layer: nn.Conv2d) -> Tensor:
    """The filters ``layer`` uses, whatever its parametrisation."""
    if isinstance(layer, WeightNormConv2d | MaskedConv2d):
        return layer.effective_weight()
    return layer.weight


def convolution(
    in_channels: int,
    out_channels: int,
    kernel: int,
    architecture: NVAEArchitecture,
    *,
    stride: int = 1,
    dilation: int = 1,
    bias: bool = True,
) -> nn.Conv2d:
    """A convolution that keeps the size (divided by ``stride``), weight-normalised if the architecture says so."""
    if architecture.weight_norm:
        eps = architecture.weight_norm_eps
        return WeightNormConv2d(in_channels, out_channels, kernel, stride=stride, dilation=dilation, bias=bias, eps=eps)
    padding = dilation * (kernel // 2)
    return nn.Conv2d(in_channels, out_channels, kernel, stride, padding, dilation=dilation, bias=bias)


def _norm(filters: Tensor) -> Tensor:
    result: Tensor = torch.linalg.vector_norm(filters, dim=(1, 2, 3), keepdim=True)
    return result
