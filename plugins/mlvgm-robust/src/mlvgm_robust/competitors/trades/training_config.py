"""Configuration of TRADES."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from mlvgm_robust.competitors.training_config import CompetitorConfig


class TradesConfig(CompetitorConfig):
    """Options of ``mlvgm train classifier trades``; the defaults make the weights of fashion-cnn called "trades"."""

    classifier: str = Field("fashion-cnn", description="classifier that is fine-tuned, from the weights it has")
    options: dict[str, Any] = Field({}, description="its options, e.g. train.options.weights=PATH")
    eps: float = Field(1.5, gt=0, allow_inf_nan=False, description="L2 radius, in units of [0, 1] pixels")
    beta: float = Field(4.0, ge=0, allow_inf_nan=False, description="weight of the divergence at attacked images")
    inner_steps: int = Field(5, ge=1, description="gradient steps of the attack, each of length 2 eps / inner_steps")
    steps: int = Field(1000, ge=1, description="optimiser steps")
    batch: int = Field(128, ge=2, description="images a step")
    learning_rate: float = Field(2e-3, gt=0, description="peak learning rate of AdamW")
    weight_decay: float = Field(1e-3, ge=0, description="decoupled weight decay")
