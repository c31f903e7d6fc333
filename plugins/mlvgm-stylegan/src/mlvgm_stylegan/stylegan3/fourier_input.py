"""The input of StyleGAN3: Fourier features on a plane that the first style moves (arXiv 2106.12423, section 3.1)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import affine_grid

from mlvgm_stylegan.stylegan2.equalised import EqualisedLinear


class FourierInput(nn.Module):
    """Sine waves of fixed frequencies and phases, rotated and shifted by a style, mixed by a learned matrix.

    Args:
        w_dim: numbers in a style.
        channels: waves, and channels of the output.
        size: side of the output in pixels.
        rate: pixels a unit of the visible square.
        cutoff: frequencies up to here pass, those up to half the rate fade out.

    Attributes:
        transform: (3, 3), user's transformation of the image, from output to input coordinates.
    """

    transform: Tensor
    frequencies: Tensor
    phases: Tensor

    def __init__(self, *, w_dim: int, channels: int, size: int, rate: int, cutoff: float) -> None:
        super().__init__()
        self.affine = EqualisedLinear(w_dim, 4)
        self.weight = nn.Parameter(torch.zeros(channels, channels))
        self.register_buffer("transform", torch.eye(3))
        self.register_buffer("frequencies", torch.zeros(channels, 2))
        self.register_buffer("phases", torch.zeros(channels))
        self.size, self.rate, self.cutoff = size, rate, cutoff

    def forward(self, w: Tensor) -> Tensor:
        """Features (N, channels, size, size) of styles (N, w_dim)."""
        moved = self._moved(self.affine(w))
        phases = self.phases + (self.frequencies @ moved[:, :2, 2:]).squeeze(2)
        frequencies = self.frequencies @ moved[:, :2, :2]
        fade = (frequencies.norm(dim=2) - self.cutoff) / (self.rate / 2 - self.cutoff)
        half = 0.5 * self.size / self.rate
        theta = torch.tensor([[half, 0.0, 0.0], [0.0, half, 0.0]], dtype=w.dtype, device=w.device)
        grid = affine_grid(theta[None], [1, 1, self.size, self.size], align_corners=False)[0]
        waves = torch.einsum("hwd,ncd->nhwc", grid, frequencies) + phases[:, None, None]
        waves = (2 * math.pi * waves).sin() * (1 - fade).clamp(0, 1)[:, None, None]
        result: Tensor = (waves @ (self.weight.T / len(self.weight) ** 0.5)).permute(0, 3, 1, 2)
        return result

    def _moved(self, parameters: Tensor) -> Tensor:
        """Transformations (N, 3, 3) of (cosine, sine, shift x, shift y), the first two up to a common factor."""
        parameters = parameters / parameters[:, :2].norm(dim=1, keepdim=True)
        cosine, sine, x, y = parameters.unbind(1)
        zero, one = torch.zeros_like(x), torch.ones_like(x)
        rotation = torch.stack([cosine, -sine, zero, sine, cosine, zero, zero, zero, one], 1).view(-1, 3, 3)
        shift = torch.stack([one, zero, -x, zero, one, -y, zero, zero, one], 1).view(-1, 3, 3)
        return rotation @ shift @ self.transform
