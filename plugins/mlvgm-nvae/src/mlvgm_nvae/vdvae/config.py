"""Options of the generator ``vdvae``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class VDVAEConfig(BaseModel):
    """Options of ``--generator vdvae``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weights: str = Field("", description="a checkpoint of openai/vdvae (.th), or a file `mlvgm weights convert` made")
    config: Path | None = Field(
        None, description="JSON or YAML with the training's hparams, where the checkpoint is of no published model"
    )
    temperature: float = Field(1.0, gt=0, le=2, description="factor on every prior standard deviation")
    likelihood: Literal["mean", "sample"] = Field(
        "mean", description="images are the pixel distribution's mean, or samples of it"
    )
