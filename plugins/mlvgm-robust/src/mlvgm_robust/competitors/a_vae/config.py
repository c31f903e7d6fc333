"""Options of the purifier ``a-vae``."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

TEMPERATURE = 0.6


class AVAEConfig(BaseModel):
    """Options of the competitor A-VAE."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weights: str = Field("fashion-mnist", description="shipped weights, or a file `mlvgm train purifier a-vae` wrote")
    temperature: float = Field(
        TEMPERATURE, ge=0, allow_inf_nan=False, description="factor on the standard deviations of the latent; 0 is off"
    )
