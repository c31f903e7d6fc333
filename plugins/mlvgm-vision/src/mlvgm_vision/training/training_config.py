"""Configuration of the training of FashionCNN."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from mlvgm.training.config import TrainingConfig


class FashionCNNTrainingConfig(TrainingConfig):
    """Options of ``mlvgm train classifier fashion-cnn``; the defaults make the weights of Fashion-MNIST."""

    BUDGETS: ClassVar[dict[str, dict[str, object]]] = {
        "demo": {"steps": 400},
        "standard": {},
        "rigorous": {"steps": 12000},
    }

    steps: int = Field(5148, ge=1, description="optimiser steps; the default is 12 passes over Fashion-MNIST")
    batch: int = Field(128, ge=2, le=4096, description="images a step")
    learning_rate: float = Field(5e-3, gt=0, le=1, description="highest learning rate of the one-cycle schedule")
    warm_up: float = Field(0.25, gt=0, lt=1, description="share of the steps in which the rate rises")
    weight_decay: float = Field(0.05, ge=0, le=1, description="decoupled weight decay of AdamW")
    smoothing: float = Field(0.05, ge=0, lt=1, description="label smoothing")
    shift: int = Field(2, ge=0, le=8, description="largest random shift in each direction, pixels")
    flips: bool = Field(True, description="mirror half of the images")
