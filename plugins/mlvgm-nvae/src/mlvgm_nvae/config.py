"""Options of the generator ``nvae``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

# At which the generator samples, and whose batch-norm statistics a checkpoint of several gives, unless told otherwise.
TEMPERATURE = 0.6


class NVAEConfig(BaseModel):
    """Options of ``--generator nvae``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weights: str = Field(
        "denoising",
        description="shipped weights ('clean', 'denoising'), a file that training wrote, or a checkpoint of one of the "
        "two public code bases (.pt, or its state dict as .safetensors)",
    )
    config: Path | None = Field(
        None,
        description="JSON or YAML with a checkpoint's arguments, for what a bare state dict does not tell (num_x_bits, "
        "res_dist, arch_instance)",
    )
    temperature: float = Field(TEMPERATURE, gt=0, le=2, description="factor on every prior standard deviation")
    likelihood: Literal["mean", "sample"] = Field(
        "mean", description="images are the pixel distribution's mean, or samples of it"
    )
