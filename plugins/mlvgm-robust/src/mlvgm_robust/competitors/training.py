"""One training of a competitor: minibatches, learning rate, checkpoints, figures and card."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import torch

from mlvgm.noise import Keys, uniform
from mlvgm.protocols.train import TrainContext, Trained
from mlvgm.training.loop import Stateful, run_steps, warm_cosine
from mlvgm.training.minibatches import identity, minibatch
from mlvgm.weights.card import training_command, write_card

if TYPE_CHECKING:
    from torch import Tensor

    from mlvgm.protocols.data import Dataset
    from mlvgm_robust.competitors.training_config import TrainingConfig

T = TypeVar("T")

_BATCH = 250


class Minibatch(NamedTuple):
    """What one step learns from, on the training's device.

    Args:
        images: (B, C, H, W) in [0, 1].
        labels: (B,).
        keys: one row, which names all other noise of the step.
    """

    images: Tensor
    labels: Tensor
    keys: Keys


@dataclass(frozen=True)
class Training:
    """Everything random is named by the seed and the step, so that a resumed training is the same training.

    Args:
        kind: what is trained, as in ``mlvgm train KIND NAME``.
        name: of the trainer.
        config: its options.
        data: train split to learn from, validation split to measure on.
        context: folder, seed and device.
    """

    kind: str
    name: str
    config: TrainingConfig
    data: Dataset
    context: TrainContext

    @property
    def weights(self) -> Path:
        """Where the weights go."""
        return self.context.folder / "weights.safetensors"

    @property
    def measured(self) -> int:
        """How many validation images the figures are of."""
        return min(self.config.evaluation_images, self.data.size("validation"))

    def initial(self, make: Callable[[], T]) -> T:
        """What ``make`` makes at step 0: drawn from the seed, without disturbing the global random state."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.context.seed)
            return make()

    def minibatch(self, step: int) -> Minibatch:
        """Images of the train split, half of them mirrored if ``flips`` says so."""
        config, context = self.config, self.context
        keys = Keys.of(seed=context.seed, purpose="train", samples=[step])
        images, labels = minibatch(self.data, step=step, batch=config.batch, seed=context.seed)
        images, labels = images.to(context.device), labels.to(context.device)
        return Minibatch(flipped(images, keys) if config.flips else images, labels, keys)

    def set_rate(self, step: int, *optimisers: torch.optim.Optimizer) -> None:
        """Give every group of parameters its learning rate, times the group's own ``factor`` if it has one."""
        config = self.config
        factor = warm_cosine(step, steps=config.steps, warmup=config.warmup_steps)
        for group in (group for optimiser in optimisers for group in optimiser.param_groups):
            group["lr"] = config.learning_rate * group.get("factor", 1.0) * factor

    def run(self, step: Callable[[int], Mapping[str, float]], parts: Mapping[str, Stateful]) -> float:
        """All steps, with checkpoints of ``parts``; returns processor seconds (see :func:`run_steps`).

        Raises:
            InputError: the folder's checkpoint is unreadable, or belongs to another training.
            CheckFailed: a figure became infinite or NaN.
        """
        options = self.config.model_dump(mode="json", exclude={"checkpoint_every"})
        return run_steps(
            step,
            steps=self.config.steps,
            parts=parts,
            context=self.context,
            identity={**identity(self.data), **options},
            every=self.config.checkpoint_every,
        )

    @torch.no_grad()
    def accuracy(self, classify: Callable[[Tensor], Tensor]) -> float:
        """Share of the measured images that ``classify`` (images → logits) gets right; NaN for none."""
        right = 0
        for images, labels in self._validation():
            right += int((classify(images).argmax(1).cpu() == labels).sum())
        return right / self.measured if self.measured else math.nan

    @torch.no_grad()
    def squared_error(self, reconstruct: Callable[[Tensor], Tensor]) -> float:
        """Mean squared error of the measured images, on pixels in [0, 1]; NaN for none."""
        total = 0.0
        for images, _ in self._validation():
            total += float((reconstruct(images).clamp(0, 1) - images).square().mean((1, 2, 3)).sum())
        return total / self.measured if self.measured else math.nan

    def _validation(self) -> Iterator[tuple[Tensor, Tensor]]:
        for first in range(0, self.measured, _BATCH):
            images, labels = self.data.batch("validation", range(first, min(first + _BATCH, self.measured)))
            yield images.to(self.context.device), labels

    def finished(
        self,
        *,
        title: str,
        summary: str,
        metrics: Mapping[str, float],
        finding: str,
        seconds: float,
        use: tuple[str, ...],
    ) -> Trained:
        """Write the card beside the finished weights; without validation images it has neither metrics nor finding."""
        card = write_card(
            self.weights,
            title=title,
            summary=summary,
            command=training_command(self.kind, self.name, self.config, data=self.data.info, seed=self.context.seed),
            data=self.data.info,
            split="train",
            seed=self.context.seed,
            seconds=seconds,
            findings=[finding] if self.measured else (),
        )
        known = metrics if self.measured else {}
        return Trained(self.weights, card, {**known, "cpu_seconds": seconds}, use=use)


def flipped(images: Tensor, keys: Keys) -> Tensor:
    """Images (B, C, H, W), half of them mirrored; one row of ``keys`` names the choice for the batch."""
    mirror = uniform(keys, "flip", (len(images), 1, 1, 1))[0].to(images) < 0.5
    return torch.where(mirror, images.flip(3), images)
