"""Options of the generator ``biggan-deep``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class BigGANDeepConfig(BaseModel):
    """Options of ``--generator biggan-deep``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weights: str = Field(description="a converted file, or a checkpoint (pytorch_model.bin, or as .safetensors)")
    config: Path | None = Field(
        None, description="the checkpoint's config.json, for what its tensors do not tell (layers, eps)"
    )
    truncation: float = Field(1.0, gt=0, le=1, description="which batch-norm statistics are used")
    noise: Literal["normal", "truncated"] = Field(
        "normal",
        description="z is standard normal, or as in published samples: truncation × the standard normal within ±2",
    )
    label: int | None = Field(None, ge=0, description="class of every draw; null draws one for each")
