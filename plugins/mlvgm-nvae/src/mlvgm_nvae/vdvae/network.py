"""The VDVAE network (arXiv 2011.10650, figure 3)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from mlvgm.rows import expanded
from mlvgm_nvae.distributions import Normal, Parameters
from mlvgm_nvae.likelihood import LogisticMixture, pixel_parameters
from mlvgm_nvae.vdvae.architecture import VDVAEArchitecture

# 3×3 convolutions see nothing but padding in maps of this side or less.
_POINTWISE_BELOW = 2


class Block(nn.Module):
    """Four convolutions, a GELU before each: 1×1 down, two 3×3, 1×1 up."""

    def __init__(self, inputs: int, middle: int, outputs: int, resolution: int) -> None:
        super().__init__()
        side = 1 if resolution <= _POINTWISE_BELOW else 3
        self.c1 = nn.Conv2d(inputs, middle, 1)
        self.c2 = nn.Conv2d(middle, middle, side, padding=side // 2)
        self.c3 = nn.Conv2d(middle, middle, side, padding=side // 2)
        self.c4 = nn.Conv2d(middle, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        for layer in (self.c1, self.c2, self.c3, self.c4):
            x = layer(functional.gelu(x))
        return x


class Group(nn.Module):
    """One latent.

    Between ``cells`` and ``merge`` the state carries, behind its features, what the prior's block says of them: means,
    log standard deviations, and features that enter with the latent.
    """

    def __init__(self, latent: int, architecture: VDVAEArchitecture) -> None:
        super().__init__()
        a = architecture
        block = a.decoder_blocks[latent]
        self.resolution, self.enters = block.resolution, block.enters
        self.width, middle = a.widths[self.resolution], a.bottlenecks[self.resolution]
        self.channels = a.latent_channels
        first = latent == 0 or a.decoder_blocks[latent - 1].resolution != self.resolution
        if first and self.resolution in a.biases:
            self.bias: nn.Parameter | None = nn.Parameter(torch.zeros(1, self.width, self.resolution, self.resolution))
        else:
            self.register_parameter("bias", None)
        self.first = first
        self.enc = Block(2 * self.width, middle, 2 * self.channels, self.resolution)
        self.prior_block = Block(self.width, middle, 2 * self.channels + self.width, self.resolution)
        self.z_proj = nn.Conv2d(self.channels, self.width, 1)
        self.resnet = Block(self.width, middle, self.width, self.resolution)
        self.flow = nn.Identity()

    def cells(self, state: Tensor) -> Tensor:
        """Features at this resolution and the prior's block."""
        if self.first:
            shape = (len(state), self.width, self.resolution, self.resolution)
            start = state.new_zeros(shape) if self.bias is None else self.bias.expand(shape)
            if self.enters is not None:
                start = start + self._widened(
                    functional.interpolate(state, scale_factor=self.resolution // self.enters)
                )
            state = start
        return torch.cat([state, self.prior_block(state)], 1)

    def _widened(self, state: Tensor) -> Tensor:
        """The first channels, or zeros behind the ones there are."""
        kept = state[:, : self.width]
        return functional.pad(kept, (0, 0, 0, 0, 0, self.width - kept.shape[1]))

    def prior(self, state: Tensor) -> Parameters:
        mean, log_sigma, _ = state[:, self.width :].split([self.channels, self.channels, self.width], 1)
        return Parameters(mean, log_sigma)

    def posterior(self, feature: Tensor, state: Tensor, prior: Parameters) -> Parameters:
        feature = expanded(feature, len(state))
        return Parameters(*self.enc(torch.cat([state[:, : self.width], feature], 1)).chunk(2, 1))

    def normal(self, parameters: Parameters) -> Normal:
        """Log standard deviations are not bounded."""
        return Normal(parameters.mean, parameters.log_sigma.exp())

    def merge(self, state: Tensor, latent: Tensor) -> Tensor:
        state = state[:, : self.width] + state[:, -self.width :] + self.z_proj(latent)
        result: Tensor = state + self.resnet(state)
        return result


class Encoder(nn.Module):
    """Residual blocks, fine → coarse; of each resolution the last features are kept."""

    def __init__(self, architecture: VDVAEArchitecture) -> None:
        super().__init__()
        a = architecture
        self.architecture = a
        self.in_conv = nn.Conv2d(a.image[0], a.widths[a.image[1]], 3, padding=1)
        self.enc_blocks = nn.ModuleList(
            Block(a.widths[b.resolution], a.bottlenecks[b.resolution], a.widths[b.resolution], b.resolution)
            for b in a.encoder_blocks
        )

    def forward(self, images: Tensor) -> dict[int, Tensor]:
        """Features of scaled images by resolution."""
        x = self.in_conv(images)
        kept = {x.shape[2]: x}
        for block, spec in zip(self.enc_blocks, self.architecture.encoder_blocks, strict=True):
            x = x + block(x)
            if spec.down > 1:
                x = functional.avg_pool2d(x, spec.down)
            width = self.architecture.widths.get(x.shape[2], x.shape[1])
            if width > x.shape[1]:
                x = functional.pad(x, (0, 0, 0, 0, 0, width - x.shape[1]))
            kept[x.shape[2]] = x
        return kept


class Decoder(nn.Module):
    """The groups, and what makes pixel parameters of the last state."""

    groups: Sequence[Group]

    def __init__(self, architecture: VDVAEArchitecture) -> None:
        super().__init__()
        a = architecture
        groups = nn.ModuleList(Group(latent, a) for latent in range(len(a.decoder_blocks)))
        self.groups = groups  # type: ignore[assignment]
        width = a.widths[a.image[1]]
        self.gain = nn.Parameter(torch.ones(1, width, 1, 1))
        self.bias = nn.Parameter(torch.zeros(1, width, 1, 1))
        self.out_conv = nn.Conv2d(width, pixel_parameters(a.image[0], a.mixtures, "logistic"), 1)

    def start(self, rows: int) -> Tensor:
        """Nothing: every resolution starts from its own constant."""
        return self.gain.new_zeros(rows, 1, 1, 1)

    def features(self, state: Tensor) -> Tensor:
        """What the last convolution reads."""
        return state * self.gain + self.bias

    def finish(self, state: Tensor) -> Tensor:
        result: Tensor = self.out_conv(self.features(state))
        return result


class VDVAE(nn.Module):
    """A very deep VAE as a :class:`~mlvgm_nvae.hierarchical.HierarchicalVAE`.

    Parameters keep the published names except where a group holds what the published code keeps in a list beside it.
    """

    name = "vdvae"

    def __init__(self, architecture: VDVAEArchitecture) -> None:
        super().__init__()
        self.architecture = architecture
        self.encoder = Encoder(architecture)
        self.decoder = Decoder(architecture)

    def encode(self, images: Tensor) -> tuple[Tensor, ...]:
        """Features of images in [0, 1], one for each latent; latents of one resolution share theirs."""
        kept = self.encoder((255 * images + self.architecture.shift) * self.architecture.scale)
        return tuple(kept[block.resolution] for block in self.architecture.decoder_blocks)

    def pixels(self, parameters: Tensor) -> LogisticMixture:
        """The pixel distribution that the decoder's output describes."""
        a = self.architecture
        return LogisticMixture.of(parameters, channels=a.image[0], mixtures=a.mixtures, bits=a.bits)
