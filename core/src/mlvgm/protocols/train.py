"""Trainables: a configuration and one method; ``mlvgm train KIND NAME`` knows no loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from mlvgm.protocols.data import Dataset


@dataclass(frozen=True)
class TrainContext:
    """What the pipeline gives a training.

    Args:
        folder: where checkpoints, weights and the card go; exists.
        seed: seed of everything random.
        device: ``"cpu"``, ``"cuda"``, …
        resume: continue from the newest checkpoint in ``folder`` if there is one.
        progress: called with (step, steps, metrics) after each step.
    """

    folder: Path
    seed: int = 0
    device: str = "cpu"
    resume: bool = False
    progress: Callable[[int, int, Mapping[str, float]], None] = lambda step, steps, metrics: None


@dataclass(frozen=True)
class Trained:
    """What a training leaves behind.

    Args:
        weights: the safetensors file.
        card: the Markdown card beside it.
        metrics: final figures.
        use: ``KEY=VALUE`` settings that use these weights.
    """

    weights: Path
    card: Path
    metrics: Mapping[str, float] = field(default_factory=dict)
    use: tuple[str, ...] = ()


class Trainable(Protocol):
    """Trains one component; configured by its pydantic model like every other component."""

    @property
    def config(self) -> Any: ...

    def train(self, data: Dataset, *, context: TrainContext) -> Trained:
        """Train on ``data``'s train split and write weights and card into ``context.folder``.

        Raises:
            InputError: the data set is only a bundled sample.
        """
        ...
