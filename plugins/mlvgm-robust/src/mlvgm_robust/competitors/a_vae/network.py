"""A-VAE: pooled image → low-resolution Gaussian and one skip → styled decoder at full size."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mlvgm.rows import expanded

if TYPE_CHECKING:
    from mlvgm_robust.competitors.a_vae.architecture import AVAEArchitecture


class Encoded(NamedTuple):
    """What the encoder knows about images.

    Args:
        mean: of the latent, (B, channels, 4, 4).
        log_variance: like ``mean``.
        skip: (B, channels, pooled / 2, pooled / 2), which no noise is added to.
    """

    mean: Tensor
    log_variance: Tensor
    skip: Tensor


class Encoder(nn.Module):
    """Images in [0, 1] → :class:`Encoded`; each convolution but the first follows a halving of the size."""

    def __init__(self, architecture: AVAEArchitecture) -> None:
        super().__init__()
        a = architecture
        self.pool = a.pool
        levels = (a.pooled // 4).bit_length()
        widths = tuple(reversed(a.widths[:levels]))
        pairs = zip((a.image[0], *widths), widths, strict=False)
        self.convolutions = nn.ModuleList(nn.Conv2d(inputs, outputs, 3, padding=1) for inputs, outputs in pairs)
        self.last = nn.Conv2d(widths[-1], widths[-1], 3, padding=1)
        self.skip = nn.Conv2d(widths[1], a.skip_channels, 1)
        self.parameters_of = nn.Conv2d(widths[-1], 2 * a.latent_channels, 1)

    def forward(self, images: Tensor) -> Encoded:
        features = F.avg_pool2d(2 * images - 1, self.pool)
        skip = features
        for level, convolution in enumerate(self.convolutions):
            features = F.avg_pool2d(features, 2) if level else features
            features = F.leaky_relu(convolution(features), 0.2)
            if level == 1:
                skip = self.skip(features)
        mean, log_variance = self.parameters_of(F.leaky_relu(self.last(features), 0.2)).chunk(2, 1)
        # The source leaves it free; a bound keeps the first steps finite.
        return Encoded(mean, log_variance.clamp(-10, 10), skip)


class StyledConvolution(nn.Module):
    """Convolution, leaky ReLU and adaptive instance normalisation (arXiv 1812.04948, equation 1)."""

    def __init__(self, inputs: int, outputs: int, style: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.affine = nn.Linear(style, 2 * outputs)

    def forward(self, features: Tensor, style: Tensor) -> Tensor:
        features = F.instance_norm(F.leaky_relu(self.convolution(features), 0.2))
        scale, shift = self.affine(style)[:, :, None, None].chunk(2, 1)
        result: Tensor = features * (1 + scale) + shift
        return result


class Decoder(nn.Module):
    """Latent and skip → images. The latent takes the place of StyleGAN's constant and makes the style as well."""

    def __init__(self, architecture: AVAEArchitecture) -> None:
        super().__init__()
        a = architecture
        size = a.latent_channels * 16
        self.style = nn.Sequential(
            nn.Linear(size, a.style), nn.LeakyReLU(0.2), nn.Linear(a.style, a.style), nn.LeakyReLU(0.2)
        )
        self.skip_level = (a.pooled // 2 // 4).bit_length() - 1
        inputs = [a.latent_channels, *a.widths[:-1]]
        inputs[self.skip_level] += a.skip_channels
        self.first = nn.ModuleList(map(StyledConvolution, inputs, a.widths, [a.style] * len(a.widths)))
        self.second = nn.ModuleList(map(StyledConvolution, a.widths, a.widths, [a.style] * len(a.widths)))
        self.head = nn.Conv2d(a.widths[-1], a.image[0], 1)

    def forward(self, latent: Tensor, skip: Tensor) -> Tensor:
        flat = latent.flatten(1)
        style = self.style(flat * (flat.square().mean(1, keepdim=True) + 1e-8).rsqrt())
        features = latent
        for level, (first, second) in enumerate(zip(self.first, self.second, strict=True)):
            features = F.interpolate(features, scale_factor=2.0) if level else features
            if level == self.skip_level:
                features = torch.cat([features, skip], 1)
            features = second(first(features, style), style)
        images: Tensor = (self.head(features) + 1) / 2
        return images


class AVAE(nn.Module):
    """A variational auto-encoder with a styled decoder.

    Example:
        >>> from mlvgm_robust.competitors.a_vae.architecture import AVAEArchitecture
        >>> network = AVAE(AVAEArchitecture())
        >>> encoded = network.encode(torch.rand(2, 1, 32, 32))
        >>> network.decode(encoded, torch.zeros(6, 32, 4, 4)).shape
        torch.Size([6, 1, 32, 32])
    """

    def __init__(self, architecture: AVAEArchitecture) -> None:
        super().__init__()
        self.architecture = architecture
        self.encoder = Encoder(architecture)
        self.decoder = Decoder(architecture)

    def encode(self, images: Tensor) -> Encoded:
        """What the encoder knows about images (B, C, H, W) in [0, 1]."""
        encoded: Encoded = self.encoder(images)
        return encoded

    def decode(self, encoded: Encoded, noise: Tensor) -> Tensor:
        """Images of latents mean + σ · noise.

        Args:
            encoded: B rows.
            noise: (B·k, channels, 4, 4), image-major; standard normal times a temperature.

        Shape:
            output: (B·k, C, H, W), nominally [0, 1], not clamped.
        """
        mean, sigma, skip = (
            expanded(part, len(noise)) for part in (encoded.mean, (encoded.log_variance / 2).exp(), encoded.skip)
        )
        images: Tensor = self.decoder(mean + sigma * noise, skip)
        return images
