"""Options of the generator ``biggan-deep``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mlvgm.weights.options import GeneratorConfig


class BigGANDeepConfig(GeneratorConfig):
    """Options of ``--generator biggan-deep``; ``config`` is the checkpoint's config.json (layers, eps)."""

    weights: str = Field(description="a converted file, or a checkpoint (pytorch_model.bin, or as .safetensors)")
    truncation: float = Field(1.0, gt=0, le=1, description="which batch-norm statistics are used")
    noise: Literal["normal", "truncated"] = Field(
        "normal",
        description="z is standard normal, or as in published samples: truncation × the standard normal within ±2",
    )
    label: int | None = Field(None, ge=0, description="class of every draw; null draws one for each")
