"""Options of the generator ``stylegan3``, which StyleGAN2 has too."""

from __future__ import annotations

from pydantic import Field

from mlvgm.weights.options import GeneratorConfig


class StyleGAN3Config(GeneratorConfig):
    """Options of ``--generator stylegan3``."""

    weights: str = Field(description="a StyleGAN3 pickle (.pkl), or a file `mlvgm weights convert` made")
    psi: float = Field(1.0, description="truncation of fresh styles towards the average style; 1 is off")
    cutoff: int | None = Field(None, ge=0, description="number of coarse styles that are truncated; all if not given")
