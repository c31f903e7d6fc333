"""Self-attention of feature maps (arXiv 1805.08318, section 3), as BigGAN has it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d, scaled_dot_product_attention


class SelfAttention(nn.Module):
    """Each position reads all 2×2-pooled positions; the result enters by a learned weight that starts at zero.

    Args:
        channels: of the features, at least 8.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query = nn.Conv2d(channels, channels // 8, 1, bias=False)
        self.key = nn.Conv2d(channels, channels // 8, 1, bias=False)
        self.value = nn.Conv2d(channels, channels // 2, 1, bias=False)
        self.output = nn.Conv2d(channels // 2, channels, 1, bias=False)
        self.gamma = nn.Parameter(torch.tensor(0.0))

    def forward(self, features: Tensor) -> Tensor:
        query = self.query(features).flatten(2).mT
        key = max_pool2d(self.key(features), 2).flatten(2).mT
        value = max_pool2d(self.value(features), 2).flatten(2).mT
        read = scaled_dot_product_attention(query, key, value, scale=1.0)
        result: Tensor = features + self.gamma * self.output(read.mT.unflatten(2, features.shape[2:]))
        return result
