"""Options of the purifier ``nd-vae``."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class NDVAEConfig(BaseModel):
    """Options of the competitor ND-VAE."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weights: str = Field("fashion-mnist", description="shipped weights, or a file `mlvgm train purifier nd-vae` wrote")
    std: float = Field(
        0.15, ge=0, allow_inf_nan=False, description="standard deviation of the noise that is added first; 0 is off"
    )
