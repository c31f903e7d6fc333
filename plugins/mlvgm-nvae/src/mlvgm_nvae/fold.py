"""Evaluation-time folding: the same function with fewer operations."""

from __future__ import annotations

import copy
from typing import Literal

import torch
from torch import Tensor, nn

from mlvgm_nvae.cells import ResidualCell
from mlvgm_nvae.convolutions import MaskedConv2d, WeightNormConv2d, effective_weight
from mlvgm_nvae.network import NVAE

Side = Literal["before", "after"]


class ScaleShift(nn.Module):
    """Batch norm with fixed statistics: scale · x + shift for each channel."""

    def __init__(self, scale: Tensor, shift: Tensor) -> None:
        super().__init__()
        self.scale = nn.Parameter(scale[:, None, None].clone(), requires_grad=False)
        self.shift = nn.Parameter(shift[:, None, None].clone(), requires_grad=False)

    def forward(self, features: Tensor) -> Tensor:
        return torch.addcmul(self.shift, features, self.scale)


@torch.no_grad()
def fold(model: NVAE) -> NVAE:
    """A copy of ``model`` for evaluation that computes the same with plain convolutions.

    Gains, norms and masks go into the filters. A batch norm goes into the convolution before it, or into the 1×1
    convolution after it (a larger one sees padding that the shift does not reach), and stays as scale and shift where
    an activation is on both sides. The factor on a residual branch goes into its last layer.
    """
    folded = copy.deepcopy(model).eval().requires_grad_(False)
    for module in list(folded.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, WeightNormConv2d | MaskedConv2d):
                setattr(module, name, _plain(child))
    # Deepest first: a sequence that is replaced must already hold its replaced children.
    for module in reversed(list(folded.modules())):
        for name, child in list(module.named_children()):
            if type(child) is nn.Sequential:
                setattr(module, name, nn.Sequential(*_merge(list(child))))
    for module in folded.modules():
        if isinstance(module, ResidualCell):
            _fold_scale(module)
    return folded.to(memory_format=torch.channels_last)


def _plain(layer: nn.Conv2d) -> nn.Conv2d:
    plain = nn.Conv2d(
        layer.in_channels,
        layer.out_channels,
        layer.kernel_size,  # type: ignore[arg-type]
        stride=layer.stride,  # type: ignore[arg-type]
        padding=layer.padding,  # type: ignore[arg-type]
        dilation=layer.dilation,  # type: ignore[arg-type]
        groups=layer.groups,
        bias=layer.bias is not None,
    ).to(layer.weight)
    plain.weight.data = effective_weight(layer).clone()
    if layer.bias is not None:
        assert plain.bias is not None
        plain.bias.data = layer.bias.clone()
    return plain.requires_grad_(False)


def _merge(layers: list[nn.Module]) -> list[nn.Module]:
    merged: list[nn.Module] = []
    pending: ScaleShift | None = None
    for layer in layers:
        if pending is not None:
            if isinstance(layer, nn.Conv2d) and layer.kernel_size == (1, 1):
                layer = _absorb(layer, pending, "before")
            else:
                merged.append(pending)
            pending = None
        if not isinstance(layer, nn.BatchNorm2d):
            merged.append(layer)
            continue
        normalisation = _scale_shift(layer)
        if merged and isinstance(merged[-1], nn.Conv2d):
            merged[-1] = _absorb(merged[-1], normalisation, "after")
        else:
            pending = normalisation
    return merged if pending is None else [*merged, pending]


def _scale_shift(layer: nn.BatchNorm2d) -> ScaleShift:
    assert layer.running_mean is not None and layer.running_var is not None
    scale = layer.weight / (layer.running_var + layer.eps).sqrt()
    return ScaleShift(scale, layer.bias - layer.running_mean * scale)


def _absorb(layer: nn.Conv2d, affine: ScaleShift, side: Side) -> nn.Conv2d:
    """``layer`` with ``affine`` before its input or after its output."""
    plain = _plain(layer)
    scale, shift = affine.scale.flatten(), affine.shift.flatten()
    bias = torch.zeros(layer.out_channels).to(scale) if layer.bias is None else layer.bias
    if side == "after":
        plain.weight.data = plain.weight * scale[:, None, None, None]
        bias = scale * bias + shift
    else:
        bias = bias + plain.weight[:, :, 0, 0] @ shift
        plain.weight.data = plain.weight * scale[None, :, None, None]
    plain.bias = nn.Parameter(bias.clone(), requires_grad=False)
    return plain


def _fold_scale(cell: ResidualCell) -> None:
    last = list(cell.branch)[-1] if isinstance(cell.branch, nn.Sequential) else None
    if cell.scale == 1.0 or not isinstance(last, nn.Conv2d):
        return
    last.weight.mul_(cell.scale)
    if last.bias is not None:
        last.bias.mul_(cell.scale)
    cell.scale = 1.0
