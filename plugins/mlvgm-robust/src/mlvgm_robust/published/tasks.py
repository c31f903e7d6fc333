"""The published settings of each task (arXiv 2412.03453 and its code), and one for 32×32 Fashion-MNIST."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

TaskName = Literal["gender", "ids", "cars", "fashion"]


@dataclass(frozen=True)
class DeepFoolValues:
    """DeepFool: classes looked at (the predicted one included), relative overshoot, most iterations."""

    classes: int
    overshoot: float
    iterations: int


@dataclass(frozen=True)
class CarliniWagnerValues:
    """C&W: first c, confidence κ, steps and Adam's rate, restarts, window of the early stop."""

    c: float
    kappa: float
    steps: int
    rate: float
    restarts: int
    window: int


@dataclass(frozen=True)
class Task:
    """One column of the published table of attacks.

    Args:
        side: of the images, pixels.
        deepfool: its values.
        carlini_wagner: its values.
        bounds: L2 bounds at which robust accuracy is reported.
    """

    side: int
    deepfool: DeepFoolValues
    carlini_wagner: CarliniWagnerValues
    bounds: tuple[float, ...]

    @property
    def start(self) -> float:
        """L2 length of C&W's first FGSM step, 2^(log₂ side − 5)."""
        return 2 ** (math.log2(self.side) - 5)

    @property
    def noise(self) -> float:
        """L2 length of the noise added to it, 2^(log₂ side − 8)."""
        return 2 ** (math.log2(self.side) - 8)


TASKS: dict[TaskName, Task] = {
    "gender": Task(
        256, DeepFoolValues(2, 0.01, 1024), CarliniWagnerValues(64, 0.01, 1024, 1e-3, 8, 32), (0.5, 1.0, 2.0, 4.0)
    ),
    "ids": Task(
        64, DeepFoolValues(8, 0.02, 128), CarliniWagnerValues(16, 0.05, 1024, 5e-3, 8, 16), (0.1, 0.5, 1.0, 2.0)
    ),
    "cars": Task(
        128, DeepFoolValues(4, 0.02, 256), CarliniWagnerValues(24, 0.02, 1024, 2e-3, 8, 16), (0.5, 1.0, 2.0, 4.0)
    ),
    # Not published. The column of the smallest images; lengths of C&W's start by the published rule for 32 pixels;
    # bounds between those of 64 pixels and those at which clothes begin to look like others.
    "fashion": Task(
        32, DeepFoolValues(8, 0.02, 128), CarliniWagnerValues(16, 0.05, 1024, 5e-3, 8, 16), (0.5, 1.0, 1.5, 2.0)
    ),
}
