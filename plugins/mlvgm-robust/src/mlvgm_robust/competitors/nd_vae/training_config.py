"""Configuration of ND-VAE training."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from mlvgm_robust.competitors.nd_vae.architecture import NDVAEArchitecture
from mlvgm_robust.competitors.training_config import CompetitorConfig

Radius = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class NDVAETrainingConfig(CompetitorConfig):
    """Options of ``mlvgm train purifier nd-vae``; the defaults make the weights called "fashion-mnist"."""

    architecture: NDVAEArchitecture = Field(default_factory=NDVAEArchitecture, description="what to train")
    classifier: str = Field("fashion-cnn", description="base classifier, which the training images attack")
    options: dict[str, Any] = Field({}, description="its options, e.g. train.options.weights=PATH")
    eps: tuple[Radius, Radius] = Field(
        (1.0, 2.0), description="least and largest L2 radius of the attacks, in units of [0, 1] pixels"
    )
    std: float = Field(0.15, ge=0, allow_inf_nan=False, description="standard deviation of the noise on the input")
    steps: int = Field(2500, ge=1, description="optimiser steps")
    batch: int = Field(64, ge=2, description="images a step")
    learning_rate: float = Field(4e-3, gt=0, description="peak learning rate of Adamax")
    warmup_steps: int = Field(100, ge=0, description="steps of linear warm-up, followed by a cosine to 0")
    weight_decay: float = Field(1e-2, ge=0, description="of Adamax")
    kl_warmup: float = Field(0.3, ge=0, le=1, description="share of the steps over which the KL's weight rises to 1")
    clip: float = Field(200.0, gt=0, description="largest gradient norm, in nats an image")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.eps[0] > self.eps[1]:
            raise ValueError("eps runs from the least to the largest radius")
        return self
