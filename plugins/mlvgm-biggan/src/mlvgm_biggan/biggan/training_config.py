"""Configuration of BigGAN training."""

from __future__ import annotations

from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from mlvgm.training.config import TrainingConfig
from mlvgm_biggan.biggan.architecture import BigGANArchitecture, PositiveInt, light


def large_first_chunk() -> BigGANArchitecture:
    """The light architecture with half of z in the first chunk, which the seed comes from."""
    return light(chunks=(24, 8, 8, 8), widths=(128, 96, 48, 16))


class BigGANTrainingConfig(TrainingConfig):
    """Options of ``mlvgm train generator biggan``; the defaults make the weights that ship."""

    BUDGETS: ClassVar[dict[str, dict[str, object]]] = {
        "demo": {"steps": 300},
        "standard": {},
        "rigorous": {"steps": 20000},
    }

    architecture: BigGANArchitecture = Field(default_factory=large_first_chunk, description="of the generator")
    discriminator_widths: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = Field(
        (48, 96, 128), description="channels of the discriminator at 1/2, 1/4, … of the size"
    )
    steps: int = Field(3000, ge=1, description="steps of discriminator and generator")
    batch: int = Field(48, ge=1, description="real images a step, and as many generated ones")
    generator_rate: float = Field(4e-4, gt=0, description="Adam's learning rate for the generator")
    discriminator_rate: float = Field(8e-4, gt=0, description="Adam's learning rate for the discriminator")
    decay: float = Field(0.5, ge=0, le=1, description="last share of the steps, over which the rates fall to 0")
    ema: float = Field(0.999, ge=0, lt=1, description="decay of the averaged generator, which is what is saved")
    standing_batches: int = Field(
        200, ge=1, description="batches of fresh draws that the averaged generator's batch-norm statistics come from"
    )

    @model_validator(mode="after")
    def _whole_halves(self) -> Self:
        side, halvings = self.architecture.image[1], len(self.discriminator_widths)
        if side % 2**halvings:
            raise ValueError(f"discriminator_widths: {halvings} of them halve the side {side} to no whole number")
        return self

    def decayed(self, step: int) -> float:
        """Factor on both rates: 1, then a line to 0."""
        return min(1.0, (1 - step / self.steps) / self.decay) if self.decay else 1.0
