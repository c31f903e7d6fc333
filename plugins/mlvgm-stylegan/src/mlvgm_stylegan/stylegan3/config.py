"""Options of the generator ``stylegan3``."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field


class StyleGAN3Config(BaseModel):
    """Options of ``--generator stylegan3``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weights: str = Field("", description="a StyleGAN3 pickle (.pkl), or a file `mlvgm weights convert` made")
    config: Path | None = Field(
        None, description="JSON or YAML with constructor arguments, for what a bare state dict does not tell"
    )
    psi: float = Field(1.0, description="truncation of fresh styles towards the average style; 1 is off")
    cutoff: int | None = Field(None, ge=0, description="number of coarse styles that are truncated; all if not given")
