"""Training a BigGAN: deterministic in (seed, step), resumable."""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import nn

from mlvgm.errors import CheckFailed
from mlvgm.noise import Keys, uniform
from mlvgm.protocols.data import Dataset
from mlvgm.protocols.train import TrainContext, Trained
from mlvgm.training.averages import early_decay, update_average
from mlvgm.training.minibatches import identity, minibatch
from mlvgm.weights.card import training_command, write_card
from mlvgm.weights.checkpoint import load_checkpoint, save_checkpoint
from mlvgm_biggan.biggan.discriminator import (
    Discriminator,
    DiscriminatorArchitecture,
    build_discriminator,
    save_discriminator,
)
from mlvgm_biggan.biggan.losses import discriminator_loss, generator_loss
from mlvgm_biggan.biggan.network import BigGAN, build
from mlvgm_biggan.biggan.spectral_norm import fold, spectral_norm
from mlvgm_biggan.biggan.training_config import BigGANTrainingConfig
from mlvgm_biggan.biggan.training_data import check_fit, draw
from mlvgm_biggan.biggan.training_statistics import standing_statistics
from mlvgm_biggan.biggan.weights import save

SUMMARY = (
    "A class-conditional BigGAN (arXiv 1809.11096): hinge loss, projection discriminator, spectral norm in both "
    "networks. The weights are averages over the steps, with batch-norm statistics of fresh draws. Trained with the "
    "labels of the data set."
)


@dataclass
class _State:
    """What changes from step to step."""

    generator: BigGAN
    average: BigGAN
    discriminator: Discriminator
    generator_optimiser: torch.optim.Adam
    discriminator_optimiser: torch.optim.Adam
    step: int = 0
    cpu_seconds: float = 0.0
    started: float = field(default_factory=time.process_time)

    def processor_time(self) -> float:
        return self.cpu_seconds + time.process_time() - self.started

    def parts(self) -> Mapping[str, nn.Module | torch.optim.Optimizer]:
        return {
            "generator": self.generator,
            "average": self.average,
            "discriminator": self.discriminator,
            "generator_optimiser": self.generator_optimiser,
            "discriminator_optimiser": self.discriminator_optimiser,
        }


class BigGANTraining:
    """``mlvgm train generator biggan``.

    Every step is a function of the seed, the step's number and the state before it: a training that was killed and
    resumed from its checkpoint ends with the same weights as one that was not.
    """

    def __init__(self, config: BigGANTrainingConfig) -> None:
        self.config = config

    def train(self, data: Dataset, *, context: TrainContext) -> Trained:
        """Train on ``data``'s train split; weights, card, discriminator and checkpoint go into ``context.folder``.

        Raises:
            InputError: the data are only a sample, or their images or classes do not fit the architecture.
            CheckFailed: a loss became infinite or NaN.
        """
        check_fit(data, self.config.architecture)
        state = self._begin(data, context)
        while state.step < self.config.steps:
            metrics = self._step(state, data, context)
            if state.step % self.config.checkpoint_every == 0 or state.step == self.config.steps:
                self._save(state, data, context)
            context.progress(state.step, self.config.steps, metrics)
        return self._finish(state, data, context)

    def _step(self, state: _State, data: Dataset, context: TrainContext) -> Mapping[str, float]:
        config = self.config
        keys = Keys.of(seed=context.seed, purpose="train", samples=[state.step])
        real, classes = minibatch(data, step=state.step, batch=config.batch, seed=context.seed)
        real, classes = 2 * real.to(context.device) - 1, classes.to(context.device)
        if config.flips:
            mirror = uniform(keys, "flip", (len(real), 1, 1, 1))[0].to(real) < 0.5
            real = torch.where(mirror, real.flip(3), real)
        remaining = 1 - state.step / config.steps
        factor = min(1.0, remaining / config.decay) if config.decay else 1.0
        _set_rate(state.generator_optimiser, config.generator_rate * factor)
        _set_rate(state.discriminator_optimiser, config.discriminator_rate * factor)

        # Both players see the same draws: the generator need not run twice.
        chunks, drawn = draw(config.architecture, keys, count=config.batch, device=context.device)
        generated = state.generator(chunks, state.generator.embed(drawn))
        scores = state.discriminator(torch.cat([real, generated.detach()]), torch.cat([classes, drawn]))
        loss = discriminator_loss(*scores.split(config.batch))
        state.discriminator_optimiser.zero_grad(set_to_none=True)
        loss.backward()
        state.discriminator_optimiser.step()

        state.discriminator.requires_grad_(False)
        adversarial = generator_loss(state.discriminator(generated, drawn))
        state.generator_optimiser.zero_grad(set_to_none=True)
        adversarial.backward()
        state.discriminator.requires_grad_(True)
        state.generator_optimiser.step()

        if not torch.isfinite(loss + adversarial):
            raise CheckFailed(f"training diverged at step {state.step}", hint="lower the learning rates")
        update_average(state.average, state.generator, decay=early_decay(config.ema, state.step))
        state.step += 1
        return {"discriminator": loss.item(), "generator": adversarial.item()}

    def _begin(self, data: Dataset, context: TrainContext) -> _State:
        config = self.config
        generator = spectral_norm(build(config.architecture, seed=context.seed), seed=context.seed)
        generator = generator.to(device=context.device, memory_format=torch.channels_last).train()
        discriminator = build_discriminator(
            DiscriminatorArchitecture(
                channels=config.architecture.image_channels,
                classes=config.architecture.classes,
                widths=config.discriminator_widths,
            ),
            seed=context.seed,
        ).to(context.device)
        average = copy.deepcopy(generator).eval().requires_grad_(False)
        state = _State(
            generator,
            average,
            discriminator,
            torch.optim.Adam(generator.parameters(), lr=config.generator_rate, betas=(0.0, 0.99)),
            torch.optim.Adam(discriminator.parameters(), lr=config.discriminator_rate, betas=(0.0, 0.99)),
        )
        path = context.folder / "checkpoint.pt"
        if context.resume and path.exists():
            stored = load_checkpoint(path, identity=self._identity(data, context))
            for name, part in state.parts().items():
                part.load_state_dict(stored[name])
            state.step, state.cpu_seconds = stored["step"], stored["cpu_seconds"]
        return state

    def _save(self, state: _State, data: Dataset, context: TrainContext) -> None:
        stored = {name: part.state_dict() for name, part in state.parts().items()}
        save_checkpoint(
            context.folder / "checkpoint.pt",
            {**stored, "step": state.step, "cpu_seconds": state.processor_time()},
            identity=self._identity(data, context),
        )

    def _identity(self, data: Dataset, context: TrainContext) -> dict[str, object]:
        return {"seed": context.seed, **identity(data), **self.config.model_dump(mode="json")}

    def _finish(self, state: _State, data: Dataset, context: TrainContext) -> Trained:
        finished = fold(state.average)
        standing_statistics(finished, batches=self.config.standing_batches, batch=self.config.batch, seed=context.seed)
        seconds = state.processor_time()
        path = context.folder / "weights.safetensors"
        save(finished, path)
        save_discriminator(state.discriminator, context.folder / "discriminator.safetensors")
        card = write_card(
            path,
            title=f"BigGAN {data.info.name}",
            summary=SUMMARY,
            command=training_command("generator", "biggan", self.config, data=data.info, seed=context.seed),
            data=data.info,
            split="train",
            seed=context.seed,
            seconds=seconds,
        )
        return Trained(path, card, {"cpu_seconds": seconds}, use=(f"generator.weights={path}",))


def _set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    for group in optimiser.param_groups:
        group["lr"] = rate
