"""Training an encoder into W+ for a generator that stays as it is: deterministic in (seed, step), resumable."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

import mlvgm_stylegan
from mlvgm.errors import CheckFailed, InputError
from mlvgm.noise import Keys, normal
from mlvgm.protocols.data import Dataset
from mlvgm.protocols.train import TrainContext, Trained
from mlvgm.training.averages import early_decay, update_average
from mlvgm.training.minibatches import check_data, identity, minibatch
from mlvgm.weights.card import training_command, write_card
from mlvgm.weights.checkpoint import load_checkpoint, save_checkpoint
from mlvgm.weights.file import write_weights
from mlvgm.weights.load import load_weights
from mlvgm_stylegan.encoders.light import LightEncoder, LightEncoderArchitecture, build_encoder
from mlvgm_stylegan.encoders.losses import feature_distance, offset_penalty
from mlvgm_stylegan.encoders.training_config import EncoderTrainingConfig
from mlvgm_stylegan.stylegan2.discriminator import Discriminator, load_discriminator
from mlvgm_stylegan.stylegan2.loaders.convert import convert
from mlvgm_stylegan.stylegan2.network import StyleGAN2
from mlvgm_stylegan.stylegan2.weights import FORMAT, assemble, contents


@dataclass
class _State:
    """What changes from step to step, and the two networks that do not."""

    generator: StyleGAN2
    discriminator: Discriminator | None
    encoder: LightEncoder
    average: LightEncoder
    optimiser: torch.optim.Adam
    step: int = 0
    cpu_seconds: float = 0.0
    started: float = field(default_factory=time.process_time)

    def processor_time(self) -> float:
        return self.cpu_seconds + time.process_time() - self.started


class EncoderTraining:
    """``mlvgm train encoder stylegan2``: real images are reconstructed, the styles of generated ones are found.

    Neither labels nor a classifier take part. Resuming ends with the same weights as not having been killed.
    """

    def __init__(self, config: EncoderTrainingConfig) -> None:
        self.config = config

    def train(self, data: Dataset, *, context: TrainContext) -> Trained:
        """Train on ``data``'s train split; weights of generator and encoder, a card and checkpoints go into the folder.

        Raises:
            InputError: the data are only a sample, or do not fit the generator, or its weights are not usable.
            CheckFailed: the loss became infinite or NaN.
        """
        state = self._begin(data, context)
        while state.step < self.config.steps:
            metrics = self._step(state, data, context)
            if state.step % self.config.checkpoint_every == 0 or state.step == self.config.steps:
                self._save(state, data, context)
            context.progress(state.step, self.config.steps, metrics)
        return self._finish(state, data, context)

    def _step(self, state: _State, data: Dataset, context: TrainContext) -> Mapping[str, float]:
        config, encoder = self.config, state.encoder
        for group in state.optimiser.param_groups:
            group["lr"] = config.learning_rate * _rate(state.step, steps=config.steps, warmup=config.warmup_steps)
        real = 2 * minibatch(data, step=state.step, batch=config.batch, seed=context.seed)[0].to(context.device) - 1
        keys = Keys.of(seed=context.seed, purpose="train", samples=[state.step])
        generated, styles = self._generated(state, keys)

        offsets = encoder(torch.cat([real, generated]))
        on_real, on_generated = offsets.split([len(real), len(generated)])
        reconstruction = state.generator.synthesis(encoder.average + encoder.deviation * on_real)
        # In [0, 1], where differences are half as large.
        squared, absolute = F.mse_loss(reconstruction, real) / 4, F.l1_loss(reconstruction, real) / 2
        error = (on_generated - (styles - encoder.average) / encoder.deviation).square().mean()
        loss = config.pixels * squared + config.absolute * absolute + config.styles * error
        loss = loss + config.offsets * offset_penalty(on_real)
        if state.discriminator is not None:
            with torch.no_grad():
                expected = state.discriminator.features(real)
            loss = loss + config.features * feature_distance(state.discriminator.features(reconstruction), expected)
        if not torch.isfinite(loss):
            raise CheckFailed(f"training diverged at step {state.step}", hint="lower the learning rate")
        state.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        state.optimiser.step()
        update_average(state.average, encoder, decay=early_decay(config.ema, state.step))
        state.step += 1
        return {"loss": loss.item(), "squared error": squared.item(), "style error": error.item()}

    @torch.no_grad()
    def _generated(self, state: _State, keys: Keys) -> tuple[Tensor, Tensor]:
        """Images and their styles: half from one z for all layers, half from one for each."""
        a, count = state.generator.architecture, self.config.batch
        z = normal(keys, "z", (count, a.num_ws, a.z_dim))[0].to(state.encoder.average.device)
        z[: count // 2] = z[: count // 2, :1]
        styles = state.generator.mapping(z.flatten(0, 1)).view(count, a.num_ws, a.w_dim)
        return state.generator.synthesis(styles), styles

    def _begin(self, data: Dataset, context: TrainContext) -> _State:
        config = self.config
        generator = load_generator(config.generator).to(context.device).requires_grad_(False)
        a, image = generator.architecture, data.info.image
        check_data(data.info, "generator", (a.image_channels, a.resolution, a.resolution), option="generator")
        discriminator = None
        if config.discriminator:
            discriminator = load_discriminator(Path(config.discriminator)).to(context.device).requires_grad_(False)
        architecture = LightEncoderArchitecture(
            image=image.shape,
            styles=a.num_ws,
            w_dim=a.w_dim,
            widths=config.widths,
            kept=config.kept,
            hidden=config.hidden,
        )
        encoder = build_encoder(architecture, seed=context.seed).to(context.device)
        keys = Keys.of(seed=context.seed, purpose="statistics", samples=[0])
        with torch.no_grad():
            styles = generator.mapping(normal(keys, "z", (10_000, a.z_dim))[0].to(context.device))
            encoder.average.copy_(styles.mean(0))
            encoder.deviation.copy_(styles.std(0))
        optimiser = torch.optim.Adam(encoder.parameters(), lr=config.learning_rate, betas=(0.9, 0.99))
        average = copy.deepcopy(encoder).requires_grad_(False)
        state = _State(generator, discriminator, encoder, average, optimiser)
        path = context.folder / "checkpoint.pt"
        if context.resume and path.exists():
            stored = load_checkpoint(path, identity=self._identity(data, context))
            for name in ("encoder", "average", "optimiser"):
                getattr(state, name).load_state_dict(stored[name])
            state.step, state.cpu_seconds = stored["step"], stored["cpu_seconds"]
        return state

    def _save(self, state: _State, data: Dataset, context: TrainContext) -> None:
        stored = {name: getattr(state, name).state_dict() for name in ("encoder", "average", "optimiser")}
        stored |= {"step": state.step, "cpu_seconds": state.processor_time()}
        save_checkpoint(context.folder / "checkpoint.pt", stored, identity=self._identity(data, context))

    def _identity(self, data: Dataset, context: TrainContext) -> dict[str, object]:
        options = self.config.model_dump(mode="json", exclude={"checkpoint_every"})
        return {"seed": context.seed, **identity(data), **options}

    def _finish(self, state: _State, data: Dataset, context: TrainContext) -> Trained:
        seconds, path = state.processor_time(), context.folder / "weights.safetensors"
        write_weights(path, contents(state.generator, state.average))
        error = squared_error(state.generator, state.average, data, count=min(2000, data.size("test")))
        count = sum(parameter.numel() for parameter in state.average.parameters())
        card = write_card(
            path,
            title=f"StyleGAN2 with an encoder into W+, {data.info.name}",
            summary=f"The StyleGAN2 '{self.config.generator}' and an encoder of {count:,} parameters for it.",
            command=training_command("encoder", "stylegan2", self.config, data=data.info, seed=context.seed),
            data=data.info,
            split="train",
            seed=context.seed,
            seconds=seconds,
            findings=[f"Mean squared error of reconstructed test images, [0, 1] pixels: {error:.4f}"],
        )
        metrics = {"squared error": error, "cpu_seconds": seconds}
        return Trained(path, card, metrics, use=(f"generator.weights={path}",))


def load_generator(name: str) -> StyleGAN2:
    """The network called ``name``, without an encoder it may have.

    Raises:
        InputError: nothing has that name, or the file is not usable, or the model is class-conditional.
    """
    shipped = mlvgm_stylegan.stylegan2_generator.weights
    file = load_weights(name, shipped=shipped, formats=(FORMAT,), convert=convert)
    generator, _ = assemble(file, Path(name))
    if generator.architecture.classes:
        raise InputError(f"weights '{name}': class-conditional, which no encoder supports")
    return generator


@torch.no_grad()
def squared_error(generator: StyleGAN2, encoder: LightEncoder, data: Dataset, *, count: int, batch: int = 250) -> float:
    """Mean squared error of reconstructions of the first ``count`` test images, in [0, 1]."""
    total = 0.0
    for first in range(0, count, batch):
        images = data.batch("test", range(first, min(first + batch, count)))[0].to(encoder.average.device)
        reconstruction = (generator.synthesis(encoder.encode(images)) + 1) / 2
        total += (reconstruction.clamp(0, 1) - images).square().mean((1, 2, 3)).sum().item()
    return total / count


def _rate(step: int, *, steps: int, warmup: int) -> float:
    """Share of the peak learning rate: linear warm-up, then a cosine to 0."""
    if step < warmup:
        return (step + 1) / (warmup + 1)
    return (1 + math.cos(math.pi * (step - warmup) / max(steps - warmup, 1))) / 2
