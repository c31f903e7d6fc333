"""ND-VAE: a small hierarchical variational auto-encoder with residual posteriors (after NVAE, arXiv 2007.03898)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from mlvgm_robust.competitors.nd_vae.pixels import LogisticMixture

if TYPE_CHECKING:
    from mlvgm_robust.competitors.nd_vae.architecture import NDVAEArchitecture


class Forward(NamedTuple):
    """One pass through encoder and decoder.

    Args:
        pixels: distribution of the images.
        kl: of each latent in nats, (B, latents).
    """

    pixels: LogisticMixture
    kl: Tensor


class Cell(nn.Module):
    """x + SE(conv(SiLU(BN(conv(SiLU(BN(x)))))), with squeeze and excitation (arXiv 1709.01507)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            nn.BatchNorm2d(width, momentum=0.05),
            nn.SiLU(),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width, momentum=0.05),
            nn.SiLU(),
            nn.Conv2d(width, width, 3, padding=1),
        )
        hidden = max(4, width // 16)
        self.excite = nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, width), nn.Sigmoid())

    def forward(self, features: Tensor) -> Tensor:
        residual: Tensor = self.branch(features)
        gates: Tensor = self.excite(residual.mean((2, 3)))
        return features + residual * gates[:, :, None, None]


class Down(nn.Sequential):
    """Halves the size."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(nn.AvgPool2d(2), nn.Conv2d(inputs, outputs, 3, padding=1))


class Up(nn.Sequential):
    """Doubles the size."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(nn.Conv2d(inputs, outputs, 3, padding=1), nn.Upsample(scale_factor=2.0))


class Encoder(nn.Module):
    """Images in [0, 1] → features of each scale, coarse → fine."""

    def __init__(self, architecture: NDVAEArchitecture) -> None:
        super().__init__()
        a = architecture
        finest = a.widths[-1]
        self.stem = nn.Sequential(
            nn.PixelUnshuffle(2), nn.Conv2d(4 * a.image[0], a.stem, 3, padding=1), Cell(a.stem), Down(a.stem, finest)
        )
        self.scales = nn.ModuleList(nn.Sequential(*(Cell(width) for _ in range(a.cells))) for width in a.widths)
        self.downs = nn.ModuleList(map(Down, a.widths[1:], a.widths))

    def forward(self, images: Tensor) -> list[Tensor]:
        features = self.stem(2 * images - 1)
        found: list[Tensor] = []
        for scale in reversed(range(len(self.scales))):
            features = self.scales[scale](features)
            found.insert(0, features)
            if scale:
                features = self.downs[scale - 1](features)
        return found


class Group(nn.Module):
    """One latent: cells that lead to it, prior, residual posterior, and its entry into the state."""

    def __init__(self, width: int, channels: int, *, cells: int) -> None:
        super().__init__()
        self.cells = nn.Sequential(*(Cell(width) for _ in range(cells)))
        self.prior = nn.Sequential(nn.ELU(), nn.Conv2d(width, 2 * channels, 1))
        self.posterior = nn.Sequential(nn.ELU(), nn.Conv2d(2 * width, 2 * channels, 3, padding=1))
        self.enter = nn.Conv2d(width + channels, width, 1)

    def forward(self, state: Tensor, feature: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """The state after the latent drawn with ``noise``, and its KL (B,) in nats."""
        state = self.cells(state)
        mean, log_sigma = _bounded(self.prior(state))
        shift, log_scale = _bounded(self.posterior(torch.cat([state, feature], 1)))
        latent = mean + log_sigma.exp() * (shift + log_scale.exp() * noise)
        merged: Tensor = state + self.enter(torch.cat([state, latent], 1))
        return merged, residual_kl(shift, log_scale).flatten(1).sum(1)


class Decoder(nn.Module):
    """Features and noise → pixel distribution and KL."""

    scales: Sequence[Sequence[Group]]

    def __init__(self, architecture: NDVAEArchitecture) -> None:
        super().__init__()
        a = architecture
        coarse, finest = a.latent_shapes[0], a.widths[-1]
        self.constant = nn.Parameter(torch.randn(1, a.widths[0], *coarse[1:]))
        scales = nn.ModuleList(
            nn.ModuleList(Group(width, a.latent_channels, cells=a.cells) for _ in range(a.groups)) for width in a.widths
        )
        self.scales = scales  # type: ignore[assignment]
        self.ups = nn.ModuleList(map(Up, a.widths, a.widths[1:]))
        parameters = 3 * a.mixtures * a.image[0]
        self.head = nn.Sequential(
            Cell(finest),
            Up(finest, a.stem),
            Cell(a.stem),
            nn.SiLU(),
            nn.Conv2d(a.stem, 4 * a.stem, 3, padding=1),
            nn.PixelShuffle(2),
            nn.SiLU(),
            nn.Conv2d(a.stem, parameters, 1),
        )

    def forward(self, features: Sequence[Tensor], noise: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        state = self.constant.expand(len(features[0]), -1, -1, -1)
        remaining, found = iter(noise), []
        for scale, (groups, feature) in enumerate(zip(self.scales, features, strict=True)):
            state = self.ups[scale - 1](state) if scale else state
            for group in groups:
                state, kl = group(state, feature, next(remaining))
                found.append(kl)
        return self.head(state), torch.stack(found, 1)


class NDVAE(nn.Module):
    """Attacked images in, the distribution of clean ones out.

    Example:
        >>> from mlvgm_robust.competitors.nd_vae.architecture import NDVAEArchitecture
        >>> network = NDVAE(NDVAEArchitecture())
        >>> noise = [torch.zeros(2, *shape) for shape in network.architecture.latent_shapes]
        >>> network(torch.rand(2, 1, 32, 32), noise).pixels.mean().shape
        torch.Size([2, 1, 32, 32])
    """

    def __init__(self, architecture: NDVAEArchitecture) -> None:
        super().__init__()
        self.architecture = architecture
        self.encoder = Encoder(architecture)
        self.decoder = Decoder(architecture)

    def forward(self, images: Tensor, noise: Sequence[Tensor]) -> Forward:
        """Encode images (B, C, H, W) in [0, 1], draw each latent with its noise (B, …), decode."""
        parameters, kl = self.decoder(self.encoder(images), noise)
        return Forward(LogisticMixture.of(parameters, channels=self.architecture.image[0]), kl)


def residual_kl(shift: Tensor, log_scale: Tensor) -> Tensor:
    """KL(N(μ + σ · shift, (σ · scale)²) ‖ N(μ, σ²)) of each number, in nats, whatever μ and σ are."""
    return 0.5 * (shift.square() + (2 * log_scale).exp() - 1) - log_scale


def _bounded(parameters: Tensor) -> tuple[Tensor, Tensor]:
    """Two halves of the channels, softly kept within ±5 as NVAE does."""
    first, second = (5 * torch.tanh(parameters / 5)).chunk(2, 1)
    return first, second
