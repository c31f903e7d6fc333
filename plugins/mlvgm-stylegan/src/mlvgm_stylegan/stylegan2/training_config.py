"""Configuration of StyleGAN2 training."""

from __future__ import annotations

from typing import ClassVar, Self

from pydantic import Field, model_validator

from mlvgm.training.config import TrainingConfig
from mlvgm_stylegan.stylegan2.architecture import StyleGAN2Architecture
from mlvgm_stylegan.stylegan2.discriminator_architecture import DiscriminatorArchitecture


class StyleGAN2TrainingConfig(TrainingConfig):
    """Options of ``mlvgm train generator stylegan2``; the defaults make the weights called "fashion-mnist"."""

    BUDGETS: ClassVar[dict[str, dict[str, object]]] = {
        "demo": {"steps": 500},
        "standard": {},
        "rigorous": {"steps": 20000},
    }
    # No rate depends on the number of steps: more of them go on where fewer ended.
    FREE: ClassVar[frozenset[str]] = TrainingConfig.FREE | {"steps"}

    architecture: StyleGAN2Architecture | None = Field(
        None, description="of the generator; empty is the light one for the data's images"
    )
    discriminator: DiscriminatorArchitecture | None = Field(
        None, description="architecture of the discriminator; empty is the light one for the data's images"
    )
    steps: int = Field(5000, ge=1, description="updates of generator and discriminator")
    batch: int = Field(32, ge=1, description="real and generated images a step")
    learning_rate: float = Field(2.5e-3, gt=0, description="of the generator; Adam with betas 0 and 0.99")
    discriminator_rate: float = Field(1.25e-3, gt=0, description="learning rate of the discriminator")
    r1: float = Field(0.5, ge=0, description="γ, weight of the gradient penalty on real images; 0 is none")
    r1_every: int = Field(16, ge=1, description="steps between gradient penalties, each weighted as much more")
    path_length: float = Field(2.0, ge=0, description="weight of the path-length regularisation; 0 is none")
    path_every: int = Field(8, ge=1, description="steps between path-length penalties, each weighted as much more")
    path_decay: float = Field(0.01, gt=0, le=1, description="share of the newest lengths in their running mean")
    style_mixing: float = Field(0.5, ge=0, le=1, description="share of images whose layers come from two styles")
    ema: float = Field(0.998, ge=0, lt=1, description="decay of the averaged parameters, which are what is saved")
    w_decay: float = Field(0.995, ge=0, lt=1, description="decay of the mean style")
    augment: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="target of r_t for adaptive discriminator augmentation (0.6 in the paper); 0 is none",
    )
    augment_ramp: int = Field(100_000, ge=1, description="images over which augmentation can go from never to always")

    @model_validator(mode="after")
    def _groups(self) -> Self:
        group = self.discriminator.group if self.discriminator else 4
        if self.batch > group and self.batch % group:
            raise ValueError(f"batch must be a multiple of the discriminator's group of {group} images")
        return self
