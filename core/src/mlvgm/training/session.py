"""What a training is given: data, seed, and its part of every batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from mlvgm.errors import ConfigError
from mlvgm.noise import Keys
from mlvgm.protocols.data import Dataset, Split
from mlvgm.runs.workers import Workers
from mlvgm.training.augmentation import mirrored
from mlvgm.training.config import TrainingConfig
from mlvgm.training.draws import Draws
from mlvgm.training.minibatches import minibatch
from mlvgm.training.processes import Module, average, average_gradients, share_batch_norms

T = TypeVar("T")


class Minibatch(NamedTuple):
    """What one step learns from, on the training's device: the images of this process.

    Args:
        images: (B, C, H, W) in [0, 1].
        labels: (B,).
        draws: all other noise of the step.
    """

    images: Tensor
    labels: Tensor
    draws: Draws


@dataclass(frozen=True)
class Session:
    """Everything random is named by seed and step, so that a resumed training is the same training.

    Args:
        kind: of component that is trained, as in ``mlvgm train KIND NAME``.
        name: of the component.
        config: the training's options.
        data: train split to learn from, others to measure on.
        folder: where the weights go, beside checkpoint, log and card.
        seed: of everything random.
        device: torch device.
        workers: which of how many processes this is, as ``torchrun`` started them.
    """

    kind: str
    name: str
    config: TrainingConfig
    data: Dataset
    folder: Path
    seed: int = 0
    device: str = "cpu"
    workers: Workers = field(default_factory=Workers)

    @property
    def weights(self) -> Path:
        """Where the weights go."""
        return self.folder / "weights.safetensors"

    def initial(self, make: Callable[[], T]) -> T:
        """What ``make`` makes at step 0: drawn from the seed, without disturbing the global random state."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            return make()

    def shared(self, network: Module) -> Module:
        """``network`` on the device, its batch norms over the whole batch where processes share it; in place."""
        network = network.to(self.device)
        return network if self.workers.count == 1 else share_batch_norms(network)

    def rows(self, count: int) -> slice:
        """Which of the ``count`` images of a batch are this process's.

        Raises:
            ConfigError: they cannot be shared equally.
        """
        part, rest = divmod(count, self.workers.count)
        if rest:
            raise ConfigError(
                f"{self.workers.count} processes cannot share batches of {count} images equally", hint="set train.batch"
            )
        return slice(self.workers.rank * part, (self.workers.rank + 1) * part)

    def draws(self, step: int, *, count: int | None = None, purpose: str = "train") -> Draws:
        """Noise of a step, for ``count`` images in place of a batch."""
        count = self.config.batch if count is None else count
        keys = Keys.of(seed=self.seed, purpose=purpose, samples=[step])
        return Draws(keys, count, self.rows(count), self.device)

    def minibatch(self, step: int) -> Minibatch:
        """Images of the train split, half of them mirrored if ``flips`` says so."""
        draws, batch = self.draws(step), self.config.batch
        found = minibatch(self.data, step=step, batch=batch, seed=self.seed, rows=draws.rows)
        images, labels = (part.to(self.device) for part in found)
        images = mirrored(images, draws.uniform("flip", (1, 1, 1))) if self.config.flips else images
        return Minibatch(images, labels, draws)

    def mean(self, values: Tensor) -> Tensor:
        """The mean over processes of what each has found, without a gradient."""
        values = values.detach()
        return values if self.workers.count == 1 else average(values.clone())

    def update(self, optimiser: torch.optim.Optimizer, loss: Tensor, *, clip: float | None = None) -> Tensor:
        """One step of ``optimiser`` against the gradient of ``loss``, the mean of the whole batch's.

        Args:
            optimiser: of the parameters that move.
            loss: scalar, a mean over this process's images.
            clip: largest norm of the gradient.

        Returns:
            the norm of the gradient before it was clipped; not computed, 0, where nothing is.
        """
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
        if self.workers.count > 1:
            average_gradients(parameters)
        norm = loss.new_zeros(()) if clip is None else nn.utils.clip_grad_norm_(parameters, clip)
        optimiser.step()
        return norm

    def batches(self, split: Split, count: int, *, size: int = 250) -> Iterator[tuple[Tensor, Tensor]]:
        """The first ``count`` images of a split and their labels, ``size`` at a time, on the device."""
        for first in range(0, count, size):
            images, labels = self.data.batch(split, range(first, min(first + size, count)))
            yield images.to(self.device), labels.to(self.device)
