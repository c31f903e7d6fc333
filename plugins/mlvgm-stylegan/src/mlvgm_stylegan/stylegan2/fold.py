"""Evaluation-time folding: the same function with fewer operations."""

from __future__ import annotations

import copy

import torch

from mlvgm_stylegan.stylegan2.equalised import EqualisedLinear
from mlvgm_stylegan.stylegan2.modulated_convolution import ModulatedConvolution
from mlvgm_stylegan.stylegan2.network import StyleGAN2


@torch.no_grad()
def fold(model: StyleGAN2) -> StyleGAN2:
    """A frozen copy of ``model``: gains are in the weights, and norms of filters are computed once.

    Its state dict means something else than that of ``model``; it is not for saving.
    """
    folded = copy.deepcopy(model).eval().requires_grad_(False)
    for module in folded.modules():
        if isinstance(module, EqualisedLinear | ModulatedConvolution):
            module.fold()
    return folded
