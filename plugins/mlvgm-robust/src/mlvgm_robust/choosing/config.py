"""Options of the ways to choose alphas; apart from them, so that options are checked without torch."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class RandomConfig(BaseModel):
    """Options of the random search."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    evaluations: int = Field(512, ge=1, description="uniform vectors that are tried; 512 as published")


class EnergyConfig(BaseModel):
    """Options of the choice by attack energy."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    evaluations: int = Field(10, ge=3, description="vectors that are tried; the learned ones try 100")
    images: int = Field(64, ge=1, description="most images on which latents are measured, by single draws")


class BayesConfig(BaseModel):
    """Options of Bayesian optimisation."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    evaluations: int = Field(
        100, ge=1, description="vectors that are tried, the five starting points included; 100 as published"
    )
