"""The critic A-VAE is trained against, and the WGAN-GP losses (arXiv 1704.00028)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from mlvgm_robust.competitors.a_vae.architecture import AVAEArchitecture


class Critic(nn.Module):
    """Images → one number each, high for real ones. It starts at half the size, with 2×2 pixels as channels."""

    def __init__(self, architecture: AVAEArchitecture) -> None:
        super().__init__()
        a = architecture
        widths = tuple(reversed(a.widths[:-1]))
        pairs = zip((4 * a.image[0], *widths), widths, strict=False)
        self.convolutions = nn.ModuleList(nn.Conv2d(inputs, outputs, 3, padding=1) for inputs, outputs in pairs)
        self.last = nn.Conv2d(widths[-1], widths[-1], 3, padding=1)
        self.head = nn.Linear(16 * widths[-1], 1)

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, H, W) in [0, 1] → (N,)."""
        features = F.pixel_unshuffle(2 * images - 1, 2)
        for level, convolution in enumerate(self.convolutions):
            features = F.avg_pool2d(features, 2) if level else features
            features = F.leaky_relu(convolution(features), 0.2)
        features = F.leaky_relu(self.last(features), 0.2)
        values: Tensor = self.head(features.flatten(1)).squeeze(1)
        return values


def critic_loss(real: Tensor, generated: Tensor, *, drift: float) -> Tensor:
    """E D(x̃) − E D(x) + drift · E D(x)²; the last term keeps the values near 0 (arXiv 1710.10196, appendix A.1)."""
    return generated.mean() - real.mean() + drift * real.square().mean()


def gradient_penalty(critic: Callable[[Tensor], Tensor], real: Tensor, generated: Tensor, shares: Tensor) -> Tensor:
    """E(‖∇D(x̂)‖₂ − 1)² between real and generated images (arXiv 1704.00028, equation 3).

    Args:
        critic: images → (N,), each depending on its own image only.
        real: (N, C, H, W).
        generated: (N, C, H, W).
        shares: (N, 1, 1, 1) in [0, 1], of the real image in x̂.
    """
    between = (shares * real + (1 - shares) * generated).detach().requires_grad_(True)
    (gradient,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    penalty: Tensor = (gradient.flatten(1).norm(dim=1) - 1).square().mean()
    return penalty


def gaussian_kl(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, exp(log_variance)) ‖ N(0, 1)) of each number, in nats."""
    return 0.5 * (mean.square() + log_variance.exp() - log_variance - 1)
