"""Options that trainings have; imports no torch."""

from __future__ import annotations

from typing import Annotated, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from mlvgm.training.schedule import warm_cosine

NotNegative = Annotated[float, Field(ge=0)]


class TrainingConfig(BaseModel):
    """Options of every training; each has defaults of its own, and ``BUDGETS`` like any component.

    ``FREE`` are those that a resumed training may change: its steps are the same ones.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    FREE: ClassVar[frozenset[str]] = frozenset({"checkpoint_every"})

    steps: int = Field(ge=1, description="optimiser steps")
    batch: int = Field(ge=1, description="images a step, of all processes together")
    flips: bool = Field(False, description="mirror half of the images")
    checkpoint_every: float = Field(30.0, ge=0, description="processor seconds between checkpoints")


class WarmCosineConfig(TrainingConfig):
    """A learning rate that rises linearly and falls along a cosine."""

    learning_rate: float = Field(gt=0, description="peak learning rate")
    warmup_steps: int = Field(100, ge=0, description="steps of linear warm-up, followed by a cosine to 0")

    def rate(self, step: int) -> float:
        """The learning rate of ``step``."""
        return self.learning_rate * warm_cosine(step, steps=self.steps, warmup=self.warmup_steps)


class DenoisingConfig(TrainingConfig):
    """Noise on the inputs of an encoder that is trained to denoise."""

    noise_range: tuple[NotNegative, NotNegative] = Field(
        (0.0, 0.0),
        description="least and largest standard deviation of noise on the encoder's input, [0, 1] pixels; 0, 0 is off",
    )
    noisy_share: float = Field(0.8, ge=0, le=1, description="share of the images that get noise, if the range is not 0")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.noise_range[0] > self.noise_range[1]:
            raise ValueError("noise_range runs from the least to the largest standard deviation")
        return self

    @property
    def denoising(self) -> bool:
        return self.noise_range[1] > 0 and self.noisy_share > 0
