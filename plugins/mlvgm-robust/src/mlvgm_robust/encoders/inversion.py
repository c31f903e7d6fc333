"""Inversion: the latents of an image by optimisation, for any generator without an encoder."""

from __future__ import annotations

from dataclasses import replace

import torch

from mlvgm.errors import ConfigError
from mlvgm.noise import Keys
from mlvgm.protocols.generator import Conditional, MultiLatentGenerator
from mlvgm_robust.encoders.config import InversionConfig
from mlvgm_robust.encoders.inverted import InvertedConditional, InvertedGenerator


def build(config: InversionConfig, *, generator: MultiLatentGenerator) -> InvertedGenerator:
    """``generator`` with :class:`~mlvgm.protocols.generator.Encodes`, in place of an encoder it may have.

    Raises:
        ConfigError: the prior of some latent depends on coarser ones (hierarchical VAEs, which have encoders).
    """
    dependent = depends_on_coarser(generator)
    if dependent is not None:
        raise ConfigError(
            f"encoder 'inversion' cannot blend latents of {type(generator).__name__}: the prior of "
            f"'{generator.latents[dependent].name}' depends on coarser ones",
            hint="use the generator's own encoder: leave --encoder out",
        )
    kind = InvertedConditional if isinstance(generator, Conditional) else InvertedGenerator
    return kind(generator, steps=config.steps, rate=config.rate, regulariser=config.regulariser, scales=config.scales)


def depends_on_coarser(generator: MultiLatentGenerator) -> int | None:
    """The first latent that changes with the noise of coarser ones, or None."""
    count = len(generator.latents)
    with torch.no_grad():
        ours, other = (
            generator.draw_noise(Keys.of(seed=seed, purpose="inversion/probe", samples=[0] * count), tied=False)
            for seed in (0, 1)
        )
        # Row i has our noise in latent i, and other noise in all the rest.
        own = torch.eye(count, dtype=torch.bool, device=generator.device)
        values = tuple(
            torch.where(own[i].reshape(-1, *[1] * (ours.of(i).ndim - 1)), ours.of(i), other.of(i)) for i in range(count)
        )
        mixed = generator.to_latents(replace(ours, values=values, source=tuple(range(count))))
        alone = generator.to_latents(ours)
    for i, (ours_i, mixed_i) in enumerate(zip(alone.values, mixed.values, strict=True)):
        if not torch.allclose(ours_i[i], mixed_i[i], rtol=1e-3, atol=1e-5):
            return i
    return None
