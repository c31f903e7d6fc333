"""The smallest training: a pixel learns the mean of all pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from mlvgm.files import write_bytes
from mlvgm.latents import ImageSpec
from mlvgm.plugins.descriptors import Component
from mlvgm.protocols.data import DataInfo, Split
from mlvgm.protocols.train import Made
from mlvgm.tensors_file import as_bytes
from mlvgm.training.config import WarmCosineConfig
from mlvgm.training.measures import squared_error
from mlvgm.training.schedule import set_rate
from mlvgm.training.session import Session

DESCRIPTOR = Component("trains a pixel", "toy_training:PixelTraining", "toy_training:PixelConfig")


class PixelConfig(WarmCosineConfig):
    BUDGETS: ClassVar[dict[str, dict[str, object]]] = {"demo": {"steps": 3}, "standard": {}}

    steps: int = Field(80, ge=1, description="optimiser steps")
    batch: int = Field(8, ge=1, description="images a step")
    learning_rate: float = Field(0.1, gt=0, description="peak learning rate")
    warmup_steps: int = Field(2, ge=0, description="steps of warm-up")


class PixelTraining:
    def __init__(self, config: PixelConfig, *, session: Session) -> None:
        self.config, self.session = config, session
        self.network = session.initial(lambda: nn.ParameterDict({"pixel": torch.rand(1)})).to(session.device)
        self.optimiser = torch.optim.Adam(self.network.parameters())
        self.parts = {"network": self.network, "optimiser": self.optimiser}

    def step(self, number: int) -> Mapping[str, float]:
        images, _, draws = self.session.minibatch(number)
        set_rate(self.config.rate(number), self.optimiser)
        noisy = images + 0.01 * draws.normal("noise", images.shape[1:])
        loss = (self.network["pixel"] - noisy).square().mean()
        self.session.update(self.optimiser, loss)
        return {"loss": loss.item()}

    def finish(self) -> Made:
        write_bytes(self.session.weights, as_bytes(self.network.state_dict()))
        error = squared_error(self.network["pixel"].expand_as, self.session, "test", count=10)
        use = (f"generator.weights={self.session.weights}",)
        return Made("a pixel", "One pixel for all.", use, {"error": error}, [f"squared error {error:.3f}"])


class Greys:
    """Images of one grey each; a quarter is the mean."""

    info = DataInfo("greys", ImageSpec(1, 2, 2), ("a",), "MIT", "memory")

    def size(self, split: Split) -> int:
        return 24

    def batch(self, split: Split, ids: Sequence[int]) -> tuple[Tensor, Tensor]:
        greys = torch.tensor([0.2 + 0.1 * (i % 2) for i in ids])
        return greys.view(-1, 1, 1, 1).expand(-1, 1, 2, 2), torch.zeros(len(ids), dtype=torch.int64)
