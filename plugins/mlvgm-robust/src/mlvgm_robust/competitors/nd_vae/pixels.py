"""Pixels as mixtures of discretised logistics (arXiv 1701.05517, equation 2), each colour on its own."""

from __future__ import annotations

from typing import NamedTuple, Self

import torch
import torch.nn.functional as F
from torch import Tensor

# Half the distance of two 8-bit values, for pixels in [−1, 1].
_HALF_BIN = 1 / 255


class LogisticMixture(NamedTuple):
    """Parameters (N, C, M, H, W) for pixels in [−1, 1]; the methods speak of [0, 1]."""

    logits: Tensor
    means: Tensor
    log_scales: Tensor

    @classmethod
    def of(cls, parameters: Tensor, *, channels: int) -> Self:
        """From the output of a network, (N, 3 · M · C, H, W)."""
        logits, means, log_scales = parameters.unflatten(1, (channels, -1)).chunk(3, 2)
        return cls(logits, means, log_scales.clamp(min=-7))

    def mean(self) -> Tensor:
        """Images (N, C, H, W), not clamped."""
        return ((self.logits.softmax(2) * self.means).sum(2) + 1) / 2

    def log_likelihood(self, images: Tensor) -> Tensor:
        """Log probability in nats of images in [0, 1] with 8 bits a pixel, (N,).

        σ(a) − σ(b) = σ(a) σ(−b) (1 − e^(b − a)), which loses nothing to rounding in the tails; the outermost bins reach
        to infinity.
        """
        pixels = (2 * images - 1).unsqueeze(2)
        precision = (-self.log_scales).exp()
        upper = precision * (pixels - self.means + _HALF_BIN)
        lower = precision * (pixels - self.means - _HALF_BIN)
        below, above = -F.softplus(-upper), -F.softplus(lower)
        inside = below + above + torch.log(-torch.expm1(-2 * _HALF_BIN * precision))
        bins = torch.where(pixels > 1 - _HALF_BIN, above, torch.where(pixels < _HALF_BIN - 1, below, inside))
        return (bins + self.logits.log_softmax(2)).logsumexp(2).sum((1, 2, 3))
