"""Options of the generator ``biggan``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class BigGANConfig(BaseModel):
    """Options of ``--generator biggan``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weights: str = Field(
        "fashion-mnist",
        description="shipped weights, a file that training wrote, or a checkpoint of BigGAN or BigBiGAN (.pth, or its "
        "state dict as .safetensors)",
    )
    config: Path | None = Field(
        None,
        description="JSON or YAML of a checkpoint's constructor arguments, for what its tensors do not tell "
        "(BN_eps, SN_eps)",
    )
    truncation: float | None = Field(None, gt=0, description="draws satisfy |z| ≤ truncation; null is off")
    label: Annotated[int, Field(ge=0)] | Literal["weights"] | None = Field(
        "weights",
        description="class of every draw; null draws one for each; 'weights' is the class that the weights are bound "
        "to (0 for BigBiGAN), or null",
    )
