"""Configuration of NVAE training."""

from __future__ import annotations

from typing import Annotated, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from mlvgm_nvae.architecture import NVAEArchitecture, light

Weight = Annotated[float, Field(ge=0)]


class NVAETrainingConfig(BaseModel):
    """Options of ``mlvgm train generator --generator nvae``; the defaults make the weights called "clean"."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    BUDGETS: ClassVar[dict[str, dict[str, object]]] = {
        "demo": {"steps": 300},
        "standard": {},
        "rigorous": {"steps": 12000},
    }

    architecture: NVAEArchitecture = Field(default_factory=light, description="what to train if init_from is empty")
    init_from: str = Field("", description="weights to start from: a shipped name or a file; empty starts afresh")
    steps: int = Field(2200, ge=1, description="optimiser steps")
    batch: int = Field(96, ge=1, description="images a step")
    learning_rate: float = Field(3e-3, gt=0, description="peak learning rate of AdamW")
    warmup_steps: int = Field(100, ge=0, description="steps of linear warm-up, followed by a cosine to 0")
    weight_decay: float = Field(1e-4, ge=0, description="decoupled weight decay")
    clip: float = Field(100.0, gt=0, description="largest gradient norm, in nats an image")
    ema: float = Field(
        0.0, ge=0, lt=1, description="decay of the averaged parameters, which are what is saved; 0 saves the last ones"
    )
    flips: bool = Field(True, description="mirror half of the images")
    kl_start: tuple[Weight, ...] = Field((0.05, 0.2, 0.6), description="first KL weight of each scale, coarse → fine")
    kl_end: tuple[Weight, ...] = Field((1.0, 1.0, 1.0), description="last KL weight of each scale, coarse → fine")
    kl_warmup: float = Field(0.4, ge=0, le=1, description="share of the steps over which the KL weights change")
    kl_balancing: bool = Field(False, description="balance the KL of the latents while the weights change")
    spectral: float = Field(0.0, ge=0, description="weight of the spectral regularisation")
    batch_norm: float = Field(0.0, ge=0, description="weight of the batch-norm scale regularisation")
    noise_range: tuple[Weight, Weight] = Field(
        (0.0, 0.0), description="least and largest standard deviation of noise on the encoder's input, [0, 1] pixels"
    )
    noisy_share: float = Field(0.8, ge=0, le=1, description="share of the images that get noise, if the range is not 0")
    checkpoint_every: int = Field(100, ge=1, description="steps between checkpoints")
    snapshots: tuple[int, ...] = Field((), description="steps after which the averaged weights are also kept")
    evaluation_images: int = Field(2000, ge=1, description="test images the figures of the card are measured on")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.noise_range[0] > self.noise_range[1]:
            raise ValueError("noise_range runs from the least to the largest standard deviation")
        return self

    @property
    def denoising(self) -> bool:
        return self.noise_range[1] > 0 and self.noisy_share > 0
