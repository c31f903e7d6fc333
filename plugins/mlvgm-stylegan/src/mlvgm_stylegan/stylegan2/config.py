"""Options of the generator ``stylegan2``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class StyleGAN2Config(BaseModel):
    """Options of ``--generator stylegan2``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weights: str = Field(
        "fashion-mnist",
        description="shipped weights, a file that training or `mlvgm weights convert` wrote, or a checkpoint of NVlabs "
        "(.pkl), rosinality, e4e or Style-Transformer (.pt)",
    )
    config: Path | None = Field(
        None, description="JSON or YAML with constructor arguments, for what a bare state dict does not tell"
    )
    psi: float = Field(1.0, description="truncation of fresh styles towards the average style; 1 is off")
    cutoff: int | None = Field(None, ge=0, description="number of coarse styles that are truncated; all if not given")
    noise_mode: Literal["const", "random", "none"] = Field(
        "const", description="noise images: stored, drawn for each image, or absent"
    )
