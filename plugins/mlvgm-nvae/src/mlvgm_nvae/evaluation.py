"""How good a trained NVAE is: bits per dimension, KL of each latent, error of reconstructions."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from mlvgm.noise import Keys, normal
from mlvgm.protocols.data import Dataset, Split
from mlvgm_nvae.losses import bits_per_dimension
from mlvgm_nvae.network import NVAE


@dataclass(frozen=True)
class Figures:
    """Figures on clean images.

    Args:
        images: how many.
        split: of which split.
        bits_per_dimension: negative evidence lower bound, one posterior draw, in bits per pixel and channel.
        kl: mean KL of each latent in nats, coarse → fine.
        squared_error: mean squared error of posterior-mean reconstructions, [0, 1] pixels.
    """

    images: int
    split: Split
    bits_per_dimension: float
    kl: tuple[float, ...]
    squared_error: float


@torch.no_grad()
def evaluate(model: NVAE, data: Dataset, *, split: Split, count: int, seed: int, batch: int = 250) -> Figures:
    """Measure ``model`` on the first ``count`` images of ``split``."""
    model.eval()
    device = model.decoder.constant.device
    shapes = model.architecture.latent_shapes
    bound, error, kl = 0.0, 0.0, torch.zeros(len(shapes))
    for first in range(0, count, batch):
        ids = range(first, min(first + batch, count))
        images = data.batch(split, ids)[0].to(device)
        keys = Keys.of(seed=seed, purpose="evaluate", samples=ids)
        noise = [normal(keys, f"z{i}", shape).to(device) for i, shape in enumerate(shapes)]
        result = model(images, noise)
        likelihood = model.pixels(result.parameters).log_likelihood(images).sum((1, 2))
        bound += (result.kl.sum(1) - likelihood).sum().item()
        kl += result.kl.sum(0).cpu()
        reconstruction = model.pixels(model(images).parameters).mean()
        error += (reconstruction - images).square().mean((1, 2, 3)).sum().item()
    bits = bits_per_dimension(torch.tensor(bound / count), model.architecture).item()
    return Figures(count, split, bits, tuple((kl / count).tolist()), error / count)
