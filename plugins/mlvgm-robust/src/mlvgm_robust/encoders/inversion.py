"""Inversion: the latents of an image by optimisation, for any generator without an encoder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import torch
from pydantic import BaseModel, ConfigDict, Field

from mlvgm.errors import ConfigError
from mlvgm.noise import Keys
from mlvgm.protocols.generator import Conditional
from mlvgm_robust.encoders.inverted import InvertedConditional, InvertedGenerator


class InversionConfig(BaseModel):
    """Options of inversion by optimisation."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    BUDGETS: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "demo": {"steps": 100},
        "standard": {"steps": 200},
        "rigorous": {"steps": 500},
    }

    steps: int = Field(200, ge=1, description="steps of Adam; each is a forward and a backward pass of the generator")
    rate: float = Field(
        0.1, gt=0, allow_inf_nan=False, description="first step size, in standard deviations of the latents; falls to 0"
    )
    regulariser: float = Field(
        1e-3, ge=0, allow_inf_nan=False, description="weight of the latents' squared distance from their mean"
    )
    scales: int = Field(3, ge=1, le=8, description="sizes at which images are compared, each half the one before")


def build(config: InversionConfig, *, generator: Any) -> InvertedGenerator:
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


def depends_on_coarser(generator: Any) -> int | None:
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
