"""Configuration of A-VAE training."""

from __future__ import annotations

from pydantic import Field

from mlvgm_robust.competitors.a_vae.architecture import AVAEArchitecture
from mlvgm_robust.competitors.training_config import CompetitorConfig


class AVAETrainingConfig(CompetitorConfig):
    """Options of ``mlvgm train purifier a-vae``; the defaults make the weights called "fashion-mnist"."""

    architecture: AVAEArchitecture = Field(default_factory=AVAEArchitecture, description="what to train")
    steps: int = Field(2500, ge=1, description="optimiser steps, each one of the critic and one of the auto-encoder")
    batch: int = Field(32, ge=1, description="images a step")
    learning_rate: float = Field(1e-3, gt=0, description="peak learning rate of Adam, betas (0, 0.99)")
    style_rate: float = Field(0.1, ge=0, description="factor on it for the network that makes the style")
    adversarial: float = Field(1.0, ge=0, description="weight of the critic's value in the auto-encoder's loss")
    kl: float = Field(1.0, ge=0, description="weight of the KL, mean over the numbers of the latent")
    reconstruction: float = Field(
        1.0, ge=0, description="weight of the squared error, sum over an image; 0 trains with critic and KL alone"
    )
    penalty: float = Field(10.0, ge=0, description="weight of the critic's gradient penalty")
    drift: float = Field(1e-3, ge=0, description="weight of the critic's squared values on real images")
    ema: float = Field(0.995, ge=0, lt=1, description="decay of the averaged parameters, which are what is saved")
