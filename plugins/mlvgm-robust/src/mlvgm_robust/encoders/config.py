"""Options of the encoders."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field


class InversionConfig(BaseModel):
    """Options of inversion by optimisation."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    BUDGETS: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "demo": {"steps": 100},
        "standard": {"steps": 200},
        "rigorous": {"steps": 500},
    }

    steps: int = Field(200, ge=1, description="steps of Adam; each is a forward and a backward pass of the generator")
    rate: float = Field(
        0.1, gt=0, allow_inf_nan=False, description="first step size, in standard deviations of the latents; falls to 0"
    )
    regulariser: float = Field(
        1e-3, ge=0, allow_inf_nan=False, description="weight of the latents' squared distance from their mean"
    )
    scales: int = Field(3, ge=1, le=8, description="sizes at which images are compared, each half the one before")
