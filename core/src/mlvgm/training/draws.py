"""Noise of one step: named by the step, whatever the number of processes that share its batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from torch import Tensor

from mlvgm.noise import Keys, normal, uniform


@dataclass(frozen=True)
class Draws:
    """Numbers for the images of a batch, each name a stream of its own.

    Args:
        keys: one row, which names the step.
        count: images of the whole batch.
        rows: those that are this process's.
        device: where the numbers go; they are drawn on the CPU.
    """

    keys: Keys
    count: int
    rows: slice = field(default_factory=lambda: slice(None))
    device: str = "cpu"

    def normal(self, name: str, shape: Sequence[int]) -> Tensor:
        """Standard-normal numbers of ``shape`` for each image, (rows, \\*shape)."""
        return normal(self.keys, name, (self.count, *shape))[0, self.rows].to(self.device)

    def uniform(self, name: str, shape: Sequence[int] = ()) -> Tensor:
        """Uniform numbers in [0, 1) of ``shape`` for each image, (rows, \\*shape)."""
        return uniform(self.keys, name, (self.count, *shape))[0, self.rows].to(self.device)

    def derive(self, purpose: str) -> Draws:
        """The same images in an independent stream."""
        return replace(self, keys=self.keys.derive(purpose))
