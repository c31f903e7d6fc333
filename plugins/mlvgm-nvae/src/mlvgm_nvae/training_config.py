"""Configuration of NVAE training."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from mlvgm.training.config import DenoisingConfig, NotNegative, WarmCosineConfig
from mlvgm_nvae.architecture import NVAEArchitecture, light


class NVAETrainingConfig(WarmCosineConfig, DenoisingConfig):
    """Options of ``mlvgm train generator nvae``; the defaults make the weights called "clean"."""

    BUDGETS: ClassVar[dict[str, dict[str, object]]] = {
        "demo": {"steps": 300},
        "standard": {},
        "rigorous": {"steps": 12000},
    }
    FREE: ClassVar[frozenset[str]] = WarmCosineConfig.FREE | {"snapshots", "evaluation_images"}

    architecture: NVAEArchitecture = Field(default_factory=light, description="what to train if init_from is empty")
    init_from: str = Field("", description="weights to start from: a shipped name or a file; empty starts afresh")
    steps: int = Field(2200, ge=1, description="optimiser steps")
    batch: int = Field(96, ge=1, description="images a step")
    learning_rate: float = Field(3e-3, gt=0, description="peak learning rate of AdamW")
    weight_decay: float = Field(1e-4, ge=0, description="decoupled weight decay")
    clip: float = Field(100.0, gt=0, description="largest gradient norm, in nats an image")
    ema: float = Field(
        0.0, ge=0, lt=1, description="decay of the averaged parameters, which are what is saved; 0 saves the last ones"
    )
    flips: bool = Field(True, description="mirror half of the images")
    kl_start: tuple[NotNegative, ...] = Field(
        (0.05, 0.2, 0.6), description="first KL weight of each scale, coarse → fine"
    )
    kl_end: tuple[NotNegative, ...] = Field((1.0, 1.0, 1.0), description="last KL weight of each scale, coarse → fine")
    kl_warmup: float = Field(0.4, ge=0, le=1, description="share of the steps over which the KL weights change")
    kl_balancing: bool = Field(False, description="balance the KL of the latents while the weights change")
    spectral: float = Field(0.0, ge=0, description="weight of the spectral regularisation")
    batch_norm: float = Field(0.0, ge=0, description="weight of the batch-norm scale regularisation")
    snapshots: tuple[int, ...] = Field((), description="steps after which the averaged weights are also kept")
    evaluation_images: int = Field(2000, ge=1, description="test images the figures of the card are measured on")
