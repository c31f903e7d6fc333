"""Configuration of the training of FashionCNN."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class FashionCNNTraining(BaseModel):
    """How FashionCNN is trained."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: int = Field(12, ge=1, le=1000, description="passes over the training split")
    batch: int = Field(128, ge=2, le=4096, description="images in one step")
    rate: float = Field(5e-3, gt=0, le=1, description="highest learning rate of the one-cycle schedule")
    warm_up: float = Field(0.25, gt=0, lt=1, description="fraction of the steps in which the rate rises")
    weight_decay: float = Field(0.05, ge=0, le=1, description="decoupled weight decay of AdamW")
    smoothing: float = Field(0.05, ge=0, lt=1, description="label smoothing")
    shift: int = Field(2, ge=0, le=8, description="largest random shift in each direction, pixels")
    flip: bool = Field(True, description="mirror half of the images left to right")
