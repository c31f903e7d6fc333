"""Options of the generator ``nvae``."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class NVAEConfig(BaseModel):
    """Options of ``--generator nvae``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weights: str = Field(
        "denoising",
        description="shipped weights ('clean', 'denoising'), a file that training wrote, or a checkpoint of one of the "
        "two public code bases (.pt, or its state dict as .safetensors)",
    )
    temperature: float = Field(0.6, gt=0, le=2, description="factor on every prior standard deviation")
    likelihood: Literal["mean", "sample"] = Field(
        "mean", description="images are the pixel distribution's mean, or samples of it"
    )
