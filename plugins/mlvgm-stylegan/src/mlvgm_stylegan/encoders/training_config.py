"""Configuration of encoder training."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from mlvgm.training.config import WarmCosineConfig

PositiveInt = Annotated[int, Field(ge=1)]


class EncoderTrainingConfig(WarmCosineConfig):
    """Options of ``mlvgm train encoder stylegan2``; the defaults make the encoder that ships."""

    BUDGETS: ClassVar[dict[str, dict[str, object]]] = {
        "demo": {"steps": 400},
        "standard": {},
        "rigorous": {"steps": 15000},
    }

    generator: str = Field(
        "fashion-mnist", description="weights of the generator: a shipped name or a file; they stay as they are"
    )
    discriminator: str = Field(
        "",
        description="discriminator.safetensors that the generator's training wrote, whose features are compared; empty "
        "compares pixels only",
    )
    widths: tuple[PositiveInt, ...] = Field(
        (48, 80, 104), min_length=1, description="channels of the encoder at a half, a quarter, … of the resolution"
    )
    kept: PositiveInt = Field(32, description="channels of its coarsest features that keep their places")
    hidden: PositiveInt = Field(192, description="numbers from which it makes all styles")
    steps: PositiveInt = Field(3500, description="updates")
    batch: PositiveInt = Field(32, description="real images a step, and as many generated ones")
    learning_rate: float = Field(2e-3, gt=0, description="peak learning rate of Adam")
    ema: float = Field(0.995, ge=0, lt=1, description="decay of the averaged parameters, which are what is saved")
    pixels: float = Field(8.0, ge=0, description="weight of the mean squared error of pixels in [0, 1]")
    absolute: float = Field(0.5, ge=0, description="weight of their mean absolute error")
    features: float = Field(0.5, ge=0, description="weight of the distance of the discriminator's features")
    styles: float = Field(
        0.1, ge=0, description="weight of the squared error of styles on generated images, in units of their variance"
    )
    offsets: float = Field(0.002, ge=0, description="weight of the size and the spread of offsets from the mean style")
