"""Configuration of encoder training."""

from __future__ import annotations

from typing import Annotated, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Weight = Annotated[float, Field(ge=0)]
Width = Annotated[int, Field(ge=1)]


class EncoderTrainingConfig(BaseModel):
    """Options of ``mlvgm train encoder biggan``; the defaults, and the generator's files, make what ships."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    BUDGETS: ClassVar[dict[str, dict[str, object]]] = {
        "demo": {"steps": 200},
        "standard": {},
        "rigorous": {"steps": 10000},
    }

    generator: str = Field(
        "fashion-mnist", description="weights of the generator: a shipped name or a file that its training wrote"
    )
    discriminator: str = Field(
        "",
        description="discriminator.safetensors of the generator's training, whose features compare reconstructions; "
        "empty compares pixels only",
    )
    widths: tuple[Width, Width, Width] = Field((48, 96, 128), description="channels at 1/2, 1/4 and 1/8 of the size")
    squeezed: int = Field(48, ge=1, description="channels that go into the linear layers")
    hidden: int = Field(256, ge=1, description="width of the linear layers")
    steps: int = Field(2000, ge=1, description="optimiser steps")
    batch: int = Field(48, ge=1, description="real images a step, and as many generated ones")
    learning_rate: float = Field(1.5e-3, gt=0, description="peak learning rate of AdamW")
    warmup_steps: int = Field(100, ge=0, description="steps of linear warm-up, followed by a cosine to 0")
    latent: Weight = Field(1.0, description="weight of the squared error of z, generated images")
    label: Weight = Field(0.5, description="weight of the cross-entropy of the class, generated images")
    pixel: Weight = Field(10.0, description="weight of the squared error of reconstructions, real images in [−1, 1]")
    feature: Weight = Field(1.0, description="weight of the error of the discriminator's features, real images")
    prior: Weight = Field(0.02, description="weight of the mean square of z, real images")
    noise_range: tuple[Weight, Weight] = Field(
        (0.0, 0.25),
        description="least and largest standard deviation of noise on the encoder's input, [0, 1] pixels; 0, 0 is off",
    )
    noisy_share: float = Field(0.8, ge=0, le=1, description="share of the images that get noise, if the range is not 0")
    checkpoint_every: int = Field(100, ge=1, description="steps between checkpoints")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.noise_range[0] > self.noise_range[1]:
            raise ValueError("noise_range runs from the least to the largest standard deviation")
        return self

    @property
    def denoising(self) -> bool:
        return self.noise_range[1] > 0 and self.noisy_share > 0
