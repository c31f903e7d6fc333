"""Configuration of encoder training."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from mlvgm.training.config import DenoisingConfig, NotNegative, WarmCosineConfig

Width = Annotated[int, Field(ge=1)]


class EncoderTrainingConfig(WarmCosineConfig, DenoisingConfig):
    """Options of ``mlvgm train encoder biggan``; the defaults, and the generator's files, make what ships."""

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
    latent: NotNegative = Field(1.0, description="weight of the squared error of z, generated images")
    label: NotNegative = Field(0.5, description="weight of the cross-entropy of the class, generated images")
    pixel: NotNegative = Field(
        10.0, description="weight of the squared error of reconstructions, real images in [−1, 1]"
    )
    feature: NotNegative = Field(1.0, description="weight of the error of the discriminator's features, real images")
    prior: NotNegative = Field(0.02, description="weight of the mean square of z, real images")
    noise_range: tuple[NotNegative, NotNegative] = Field(
        (0.0, 0.25),
        description="least and largest standard deviation of noise on the encoder's input, [0, 1] pixels; 0, 0 is off",
    )
