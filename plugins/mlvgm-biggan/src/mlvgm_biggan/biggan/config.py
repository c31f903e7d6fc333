"""Options of the generator ``biggan``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from mlvgm.weights.options import GeneratorConfig


class BigGANConfig(GeneratorConfig):
    """Options of ``--generator biggan``; ``config`` may tell ``BN_eps`` and ``SN_eps``."""

    weights: str = Field(
        "fashion-mnist",
        description="shipped weights, a file that training wrote, or a checkpoint of BigGAN or BigBiGAN (.pth, or its "
        "state dict as .safetensors)",
    )
    truncation: float | None = Field(None, gt=0, description="draws satisfy |z| ≤ truncation; null is off")
    label: Annotated[int, Field(ge=0)] | Literal["weights"] | None = Field(
        "weights",
        description="class of every draw; null draws one for each; 'weights' is the class that the weights are bound "
        "to (0 for BigBiGAN), or null",
    )
