"""Options that the trainings of all competitors have."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class TrainingConfig(BaseModel):
    """How long, how fast and on what a competitor is trained; each has defaults of its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int = Field(ge=1, description="optimiser steps")
    batch: int = Field(ge=1, description="images a step")
    learning_rate: float = Field(gt=0, description="peak learning rate")
    warmup_steps: int = Field(50, ge=0, description="steps of linear warm-up, followed by a cosine to 0")
    flips: bool = Field(True, description="mirror half of the images")
    checkpoint_every: float = Field(30.0, ge=0, description="processor seconds between checkpoints")
    evaluation_images: int = Field(2000, ge=1, description="validation images the figures are measured on")
