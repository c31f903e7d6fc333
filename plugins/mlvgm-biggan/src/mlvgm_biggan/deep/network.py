"""The BigGAN-deep generator network (arXiv 1809.11096, appendix B, figure 16), for evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, relu

from mlvgm_biggan.biggan.attention import SelfAttention
from mlvgm_biggan.deep.architecture import BigGANDeepArchitecture
from mlvgm_biggan.deep.statistics import StoredNorm


class ConditionalStoredNorm(nn.Module):
    """Stored norm whose gain and bias are linear functions of a condition; the gain's is added to one."""

    def __init__(self, channels: int, *, condition: int, statistics: int, eps: float) -> None:
        super().__init__()
        self.norm = StoredNorm(channels, statistics=statistics, eps=eps)
        self.gain = nn.Linear(condition, channels, bias=False)
        self.bias = nn.Linear(condition, channels, bias=False)

    def forward(self, features: Tensor, condition: Tensor, truncation: float) -> Tensor:
        gain, bias = 1 + self.gain(condition), self.bias(condition)
        return torch.addcmul(bias[:, :, None, None], self.norm(features, truncation), gain[:, :, None, None])


class Block(nn.Module):
    """Bottleneck of a quarter of the channels: four norms and convolutions; optionally doubles the side.

    The skip has no convolution: where channels are halved, it keeps the first half.
    """

    def __init__(
        self, width_in: int, width: int, *, doubles: bool, condition: int, statistics: int, eps: float
    ) -> None:
        super().__init__()
        middle = width_in // 4
        widths = [width_in, middle, middle, middle, width]
        self.doubles = doubles
        self.norms = nn.ModuleList(
            ConditionalStoredNorm(channels, condition=condition, statistics=statistics, eps=eps)
            for channels in widths[:-1]
        )
        self.convolutions = nn.ModuleList(
            nn.Conv2d(before, after, side, padding=side // 2)
            for (before, after), side in zip(pairwise(widths), (1, 3, 3, 1), strict=True)
        )

    def forward(self, features: Tensor, condition: Tensor, truncation: float) -> Tensor:
        branch = features
        for i, (norm, convolution) in enumerate(zip(self.norms, self.convolutions, strict=True)):
            branch = relu(norm(branch, condition, truncation))
            if i == 1 and self.doubles:
                branch = interpolate(branch, scale_factor=2.0)
            branch = convolution(branch)
        skip = features[:, : branch.shape[1]]
        return branch + (interpolate(skip, scale_factor=2.0) if self.doubles else skip)


class BigGANDeep(nn.Module):
    """A class-conditional generator whose blocks all read the whole z beside the class.

    Example:
        >>> architecture = BigGANDeepArchitecture(
        ...     z=4, classes=3, embedding=2, widths=(16, 8, 8), doubles=(True, True), attention=(1,), statistics=6
        ... )
        >>> network = BigGANDeep(architecture)
        >>> network([torch.zeros(2, 4)] * 3, torch.zeros(2, 2), truncation=0.4).shape
        torch.Size([2, 3, 16, 16])
    """

    name = "biggan-deep"

    def __init__(self, architecture: BigGANDeepArchitecture) -> None:
        super().__init__()
        self.architecture = a = architecture
        condition = a.z + a.embedding
        self.embedding = nn.Embedding(a.classes, a.embedding)
        self.seed = nn.Linear(condition, a.widths[0] * a.side**2)
        self.blocks = nn.ModuleList(
            Block(*widths, doubles=doubles, condition=condition, statistics=a.statistics, eps=a.batch_norm_eps)
            for widths, doubles in zip(pairwise(a.widths), a.doubles, strict=True)
        )
        self.attention = nn.ModuleDict({str(i): SelfAttention(a.widths[i]) for i in a.attention})
        self.norm = StoredNorm(a.widths[-1], statistics=a.statistics, eps=a.batch_norm_eps)
        self.gain = nn.Parameter(torch.ones(a.widths[-1]))
        self.bias = nn.Parameter(torch.zeros(a.widths[-1]))
        self.output = nn.Conv2d(a.widths[-1], a.image_channels, 3, padding=1)

    def forward(self, values: Sequence[Tensor], condition: Tensor, *, truncation: float) -> Tensor:
        """Images in [−1, 1].

        Args:
            values: z (N, z) of the seed, then of each block.
            condition: class embedding (N, embedding).
            truncation: which batch-norm statistics are used, in [0, 1].

        Shape:
            output: (N, channels, height, width).
        """
        a = self.architecture
        seed, *rest = (torch.cat([z, condition], 1) for z in values)
        # Channels come last in the seed.
        features = self.seed(seed).unflatten(1, (a.side, a.side, a.widths[0])).permute(0, 3, 1, 2).contiguous()
        for i, (block, joined) in enumerate(zip(self.blocks, rest, strict=True)):
            if str(i) in self.attention:
                features = self.attention[str(i)](features)
            features = block(features, joined, truncation)
        features = self.norm(features, truncation)
        features = torch.addcmul(self.bias[:, None, None], features, self.gain[:, None, None])
        result: Tensor = self.output(relu(features)).tanh()
        return result
