"""Modulated convolutions (arXiv 1912.04958, section 2.2), with the style on activations instead of on weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d

from mlvgm.rows import aligned
from mlvgm_stylegan.stylegan2.equalised import EqualisedLinear
from mlvgm_stylegan.stylegan2.resampling import fir


class ModulatedConvolution(nn.Module):
    """A 3×3 convolution whose filters are scaled by a style for each sample, and then divided by their norm.

    Scaling the filters of sample n by s_n on the input side and d_n on the output side equals scaling its activations
    by s_n before and by d_n after one convolution that all samples share: no filters are made for each sample.

    Args:
        inputs: input channels.
        outputs: output channels.
        w_dim: numbers in a style.
        up: double the resolution.
    """

    energy: Tensor | None

    def __init__(self, inputs: int, outputs: int, *, w_dim: int, up: bool = False) -> None:
        super().__init__()
        self.affine = EqualisedLinear(w_dim, inputs, bias=1.0)
        self.weight = nn.Parameter(torch.zeros(outputs, inputs, 3, 3))
        self.up = up
        self.register_buffer("energy", None, persistent=False)

    def fold(self) -> None:
        """Keep the squared norms of the filters, which no longer change, and lay these out as they are used."""
        self.energy = _energy(self.weight).detach()
        used = self.weight.data.transpose(0, 1) if self.up else self.weight.data
        used = used.contiguous(memory_format=torch.channels_last)
        self.weight.data = used.transpose(0, 1) if self.up else used

    def forward(self, x: Tensor, w: Tensor, low_pass: Tensor) -> tuple[Tensor, Tensor]:
        """The convolution of scaled activations, and the demodulation coefficients it still has to be multiplied by.

        Args:
            x: (N, inputs, H, W).
            w: styles (M, w_dim); N and M are B and B·k in some order, image-major.
            low_pass: filter of upsampling.

        Shape:
            output: (max(N, M), outputs, H or 2H, W or 2W), and (M, outputs, 1, 1).
        """
        style = self.affine(w)
        energy = _energy(self.weight) if self.energy is None else self.energy
        scale = (style.square() @ energy.T + 1e-8).rsqrt()[:, :, None, None]
        x, style = aligned(x, style)
        # On a CPU this layout is faster, above all for doubling; everything after a convolution keeps it.
        x = (x * style[:, :, None, None]).contiguous(memory_format=torch.channels_last)
        if not self.up:
            return conv2d(x, self.weight, padding=1), scale
        rows, columns = low_pass.shape
        padding = ((columns - 1) // 2, (columns - 2) // 2, (rows - 1) // 2, (rows - 2) // 2)
        # The filter acts on all channels alike, so it may come after the convolution, at a quarter of its cost. Folded
        # into it (6×6, or four 3×3 at half the resolution) it costs more than the two together.
        return fir(conv_transpose2d(x, self.weight.transpose(0, 1), stride=2), low_pass, padding=padding, gain=4), scale


class ModulatedProjection(nn.Module):
    """A modulated 1×1 convolution without demodulation, to few channels.

    With so few filters it is cheaper to scale them than to scale the activations.
    """

    def __init__(self, inputs: int, outputs: int, *, w_dim: int) -> None:
        super().__init__()
        self.affine = EqualisedLinear(w_dim, inputs, bias=1.0)
        self.weight = nn.Parameter(torch.zeros(outputs, inputs, 1, 1))

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """(max(N, M), outputs, H, W) of x (N, inputs, H, W) and styles w (M, w_dim)."""
        style = self.affine(w) * self.weight.shape[1] ** -0.5
        x, style = aligned(x, style)
        # Few rows, transposed in the product, are several times faster than few columns.
        filters = style[:, None] * self.weight.flatten(1)
        pixels = x.permute(0, 2, 3, 1).flatten(1, 2)
        result: Tensor = torch.bmm(pixels, filters.transpose(1, 2)).unflatten(1, x.shape[2:]).permute(0, 3, 1, 2)
        return result


def _energy(weight: Tensor) -> Tensor:
    """Squared norm (outputs, inputs) of each kernel."""
    return weight.square().sum((2, 3))
