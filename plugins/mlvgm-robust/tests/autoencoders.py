"""Small networks of A-VAE and ND-VAE, with images and noise for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn

from mlvgm.noise import Keys
from mlvgm_robust.competitors.a_vae.architecture import AVAEArchitecture
from mlvgm_robust.competitors.a_vae.network import AVAE
from mlvgm_robust.competitors.nd_vae.architecture import NDVAEArchitecture
from mlvgm_robust.competitors.nd_vae.network import NDVAE

N = TypeVar("N", bound=nn.Module)

A_VAE = AVAEArchitecture(image=(3, 16, 16), pool=2, widths=(6, 5, 4), latent_channels=3, skip_channels=2, style=4)
ND_VAE = NDVAEArchitecture(image=(3, 16, 16), stem=6, widths=(6, 5), latent_channels=2, mixtures=2)


def drawn(make: Callable[[], N]) -> N:
    """A frozen network with the same parameters every time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return make().eval().requires_grad_(False)


def a_vae(architecture: AVAEArchitecture = A_VAE) -> AVAE:
    return drawn(lambda: AVAE(architecture))


def nd_vae(architecture: NDVAEArchitecture = ND_VAE) -> NDVAE:
    return drawn(lambda: NDVAE(architecture))


def images(count: int = 3) -> Tensor:
    return torch.rand(count, 3, 16, 16, generator=torch.Generator().manual_seed(1))


def keys(draws: int, count: int = 3) -> Keys:
    return Keys.of(seed=0, purpose="test", samples=range(count), draws=range(draws))
