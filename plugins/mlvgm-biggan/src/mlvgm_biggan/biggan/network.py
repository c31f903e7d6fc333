"""The BigGAN generator network (arXiv 1809.11096, appendix B, figure 15)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, relu

from mlvgm.rows import aligned
from mlvgm_biggan.biggan.architecture import BigGANArchitecture
from mlvgm_biggan.biggan.attention import SelfAttention


class ConditionalBatchNorm(nn.Module):
    """Batch norm whose gain and bias are linear functions of a condition; the gain's is added to one.

    Args:
        channels: of the features.
        condition: size of the condition.
        eps: added to the variances.
    """

    def __init__(self, channels: int, *, condition: int, eps: float) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, eps=eps, affine=False)
        self.gain = nn.Linear(condition, channels, bias=False)
        self.bias = nn.Linear(condition, channels, bias=False)

    def forward(self, features: Tensor, condition: Tensor) -> Tensor:
        """Either may have fewer rows (images) than the other (draws)."""
        gain, bias = 1 + self.gain(condition)[:, :, None, None], self.bias(condition)[:, :, None, None]
        features, gain, bias = aligned(self.norm(features), gain, bias)
        return torch.addcmul(bias, features, gain)


class Block(nn.Module):
    """Residual block that doubles the side: conditional norms before two convolutions, and a 1×1 shortcut."""

    def __init__(self, width_in: int, width: int, *, condition: int, eps: float) -> None:
        super().__init__()
        self.norm1 = ConditionalBatchNorm(width_in, condition=condition, eps=eps)
        self.convolution1 = nn.Conv2d(width_in, width, 3, padding=1)
        self.norm2 = ConditionalBatchNorm(width, condition=condition, eps=eps)
        self.convolution2 = nn.Conv2d(width, width, 3, padding=1)
        self.shortcut = nn.Conv2d(width_in, width, 1)

    def forward(self, features: Tensor, condition: Tensor) -> Tensor:
        branch = self.convolution1(interpolate(relu(self.norm1(features, condition)), scale_factor=2.0))
        branch = self.convolution2(relu(self.norm2(branch, condition)))
        # A 1×1 convolution and copying pixels commute; this order has a quarter of the work.
        shortcut, branch = aligned(interpolate(self.shortcut(features), scale_factor=2.0), branch)
        return shortcut + branch


class BigGAN(nn.Module):
    """A class-conditional generator of images from chunks of z.

    Spectral norm is not part of it: :func:`~mlvgm_biggan.biggan.spectral_norm.spectral_norm` puts it on for training,
    and :func:`~mlvgm_biggan.biggan.spectral_norm.fold` takes it into the weights.

    Example:
        >>> from mlvgm_biggan.biggan.architecture import light
        >>> network = build(light(), seed=0).eval()
        >>> chunks = [torch.zeros(2, size) for size in network.architecture.chunks]
        >>> network(chunks, network.embed(torch.tensor([0, 9]))).shape
        torch.Size([2, 1, 32, 32])
    """

    name = "biggan"

    def __init__(self, architecture: BigGANArchitecture) -> None:
        super().__init__()
        self.architecture = a = architecture
        self.embedding = nn.Embedding(a.classes, a.embedding)
        self.seed = nn.Linear(a.chunks[0], a.widths[0] * a.side**2)
        self.blocks = nn.ModuleList(
            Block(width_in, width, condition=a.condition(i), eps=a.batch_norm_eps)
            for i, (width_in, width) in enumerate(pairwise(a.widths))
        )
        self.attention = nn.ModuleDict({str(i): SelfAttention(a.widths[i + 1]) for i in a.attention})
        # The eps of this one is not an option: published networks all have 1e-5 here.
        self.norm = nn.BatchNorm2d(a.widths[-1], eps=1e-5)
        self.output = nn.Conv2d(a.widths[-1], a.image_channels, 3, padding=1)

    def embed(self, classes: Tensor) -> Tensor:
        """Condition embeddings (N, embedding) of class numbers (N,)."""
        result: Tensor = self.embedding(classes)
        return result

    def forward(self, chunks: Sequence[Tensor], condition: Tensor) -> Tensor:
        """Images in [−1, 1].

        Args:
            chunks: chunk i of z is (N, chunks[i]); a chunk with fewer rows is shared by as many draws as are missing.
            condition: class embedding, (N, embedding) or fewer rows.

        Shape:
            output: (N, channels, height, width), N the most rows among the chunks that are used.
        """
        a = self.architecture
        features = self.seed(chunks[0]).unflatten(1, (a.widths[0], a.side, a.side))
        for i, block in enumerate(self.blocks):
            joined = torch.cat(aligned(condition, chunks[i + 1]), 1) if a.hierarchical else condition
            features = block(features, joined)
            if str(i) in self.attention:
                features = self.attention[str(i)](features)
        result: Tensor = self.output(relu(self.norm(features))).tanh()
        return result


def build(architecture: BigGANArchitecture, *, seed: int) -> BigGAN:
    """A network with fresh orthogonal weights from ``seed``; the global random state stays as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = BigGAN(architecture)
        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.Linear | nn.Embedding):
                nn.init.orthogonal_(module.weight)
        return network
