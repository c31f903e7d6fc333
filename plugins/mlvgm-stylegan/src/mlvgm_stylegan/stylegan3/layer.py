"""A layer of StyleGAN3: modulated convolution, then a non-linearity at a higher rate (arXiv 2106.12423, 3.2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, leaky_relu

from mlvgm.rows import aligned
from mlvgm_stylegan.stylegan2.equalised import EqualisedLinear
from mlvgm_stylegan.stylegan3.architecture import LayerPlan
from mlvgm_stylegan.stylegan3.filters import downsampled, upsampled


class Layer(nn.Module):
    """One layer.

    Attributes:
        magnitude: running mean of the input's squares; the input is divided by its root.
    """

    magnitude: Tensor
    up_filter: Tensor | None
    down_filter: Tensor | None

    def __init__(
        self, inputs: int, outputs: int, *, w_dim: int, kernel_size: int, plan: LayerPlan, clamp: float | None
    ) -> None:
        super().__init__()
        kernel_size = 1 if plan.colours else kernel_size
        self.plan, self.clamp = plan, clamp
        self.affine = EqualisedLinear(w_dim, inputs, bias=1.0)
        self.weight = nn.Parameter(torch.zeros(outputs, inputs, kernel_size, kernel_size))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.register_buffer("magnitude", torch.ones(()))
        down = (plan.down_taps,) * (2 if plan.radial else 1)
        self.register_buffer("up_filter", torch.zeros(plan.up_taps) if plan.up_taps > 1 else None)
        self.register_buffer("down_filter", torch.zeros(down) if plan.down_taps > 1 else None)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """Features (max(N, M), outputs, size, size) of x (N, …) and styles w (M, w_dim), image-major."""
        x = self._convolved(x, self.affine(w)) + self.bias[:, None, None]
        x = upsampled(x, self.up_filter, factor=self.plan.up, padding=self.plan.padding)
        if not self.plan.colours:
            x = leaky_relu(x, 0.2) * 2**0.5
        if self.clamp is not None:
            x = x.clamp(-self.clamp, self.clamp)
        return downsampled(x, self.down_filter, factor=self.plan.down)

    def _convolved(self, x: Tensor, style: Tensor) -> Tensor:
        weight: Tensor = self.weight
        scale = self.magnitude.rsqrt().expand(1, 1)
        if self.plan.colours:
            style = style * weight[0].numel() ** -0.5
        else:
            # Both normalisations cancel in the demodulation but for its epsilon. The style's is over each sample, not
            # over the batch, so that images do not depend on their neighbours.
            weight = weight * weight.square().mean((1, 2, 3), keepdim=True).rsqrt()
            style = style * style.square().mean(1, keepdim=True).rsqrt()
            energy = weight.square().sum((2, 3))
            scale = scale * (style.square() @ energy.T + 1e-8).rsqrt()
        x, style = aligned(x, style)
        x = conv2d(x * style[:, :, None, None], weight, padding=weight.shape[2] - 1)
        x, scale = aligned(x, scale.expand(len(style), -1) if self.plan.colours else scale)
        return x * scale[:, :, None, None]
