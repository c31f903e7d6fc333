"""Squeeze-and-excitation gates (arXiv 1709.01507)."""

from __future__ import annotations

from torch import Tensor, nn


class SqueezeExcitation(nn.Module):
    """Rescales channels by a gate in (0, 1) computed from their spatial means; max(channels / 16, 4) hidden units."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(channels // 16, 4)
        self.squeeze = nn.Linear(channels, hidden)
        self.excite = nn.Linear(hidden, channels)

    def forward(self, features: Tensor) -> Tensor:
        gate = self.excite(self.squeeze(features.mean((2, 3))).relu()).sigmoid()
        result: Tensor = features * gate[:, :, None, None]
        return result
