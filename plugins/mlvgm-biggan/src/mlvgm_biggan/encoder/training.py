"""Training an encoder for a trained BigGAN: deterministic in (seed, step), resumable."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch

import mlvgm_biggan
from mlvgm.errors import CheckFailed, InputError
from mlvgm.noise import Keys
from mlvgm.protocols.data import Dataset
from mlvgm.protocols.train import TrainContext, Trained
from mlvgm.training.input_noise import noisy_inputs
from mlvgm.training.minibatches import identity, minibatch
from mlvgm.weights.card import training_command, write_card
from mlvgm.weights.checkpoint import load_checkpoint, save_checkpoint
from mlvgm.weights.load import load_weights
from mlvgm_biggan.biggan.architecture import BigGANArchitecture
from mlvgm_biggan.biggan.discriminator import Discriminator, load_discriminator
from mlvgm_biggan.biggan.loader import convert
from mlvgm_biggan.biggan.network import BigGAN
from mlvgm_biggan.biggan.training_data import check_fit, draw
from mlvgm_biggan.biggan.weights import FORMAT, assemble, save
from mlvgm_biggan.encoder.light import LightEncoder, LightEncoderArchitecture, build_encoder
from mlvgm_biggan.encoder.losses import encoder_losses
from mlvgm_biggan.encoder.training_config import EncoderTrainingConfig

SUMMARY = (
    "A BigGAN with an encoder that was trained on its images, whose z and class are known, and on reconstructions of "
    "real ones, without labels of real images. The generator was trained with labels."
)
DENOISING = (
    "The encoder saw noisy images and clean targets; no attacks. This is a step beyond the published method, which "
    "takes generator and encoder as they are."
)


@dataclass
class _State:
    """What changes from step to step, and the frozen networks."""

    encoder: LightEncoder
    optimiser: torch.optim.AdamW
    generator: BigGAN
    discriminator: Discriminator | None
    step: int = 0
    cpu_seconds: float = 0.0
    started: float = field(default_factory=time.process_time)

    def processor_time(self) -> float:
        return self.cpu_seconds + time.process_time() - self.started


class EncoderTraining:
    """``mlvgm train encoder biggan``: writes generator and encoder as one file.

    Every step is a function of the seed, the step's number and the state before it: a training that was killed and
    resumed from its checkpoint ends with the same weights as one that was not.
    """

    def __init__(self, config: EncoderTrainingConfig) -> None:
        self.config = config

    def train(self, data: Dataset, *, context: TrainContext) -> Trained:
        """Train on generated images and on ``data``'s train split; weights, card and checkpoint go into the folder.

        Raises:
            InputError: the data are only a sample or do not fit the generator, or a weights file is not usable.
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
        config, generator = self.config, state.generator
        keys = Keys.of(seed=context.seed, purpose="encoder", samples=[state.step])
        real = minibatch(data, step=state.step, batch=config.batch, seed=context.seed)[0].to(context.device)
        chunks, classes = draw(generator.architecture, keys, count=config.batch, device=context.device)
        with torch.no_grad():
            generated = (generator(chunks, generator.embed(classes)) + 1) / 2
        for group in state.optimiser.param_groups:
            group["lr"] = config.learning_rate * self._factor(state.step)
        losses = encoder_losses(
            state.encoder,
            generator,
            state.discriminator,
            generated=generated,
            z=torch.cat(chunks, 1),
            classes=classes,
            real=real,
            inputs=noisy_inputs(
                torch.cat([generated, real]), keys, sigmas=config.noise_range, share=config.noisy_share
            ),
        )
        terms = vars(losses)
        loss = torch.stack([getattr(config, name) * term for name, term in terms.items()]).sum()
        if not torch.isfinite(loss):
            raise CheckFailed(f"training diverged at step {state.step}", hint="lower the learning rate")
        state.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        state.optimiser.step()
        state.step += 1
        return {"loss": loss.item(), **{name: term.item() for name, term in terms.items()}}

    def _factor(self, step: int) -> float:
        """On the learning rate: linear warm-up, then a cosine to 0."""
        warmup = self.config.warmup_steps
        if step < warmup:
            return (step + 1) / warmup
        return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(self.config.steps - warmup, 1)))

    def _begin(self, data: Dataset, context: TrainContext) -> _State:
        config = self.config
        shipped = mlvgm_biggan.biggan_generator.weights
        file = load_weights(config.generator, shipped=shipped, formats=(FORMAT,), convert=convert)
        generator = assemble(file, Path(config.generator))[0].requires_grad_(False).to(context.device)
        architecture = generator.architecture
        check_fit(data, architecture)
        discriminator = None
        if config.discriminator:
            discriminator = load_discriminator(Path(config.discriminator)).to(context.device)
            if discriminator.architecture.channels != architecture.image_channels:
                raise InputError(f"{config.discriminator}: its images have other channels than the generator's")
        encoder = build_encoder(self._architecture(architecture), seed=context.seed)
        encoder.embeddings.copy_(generator.embedding.weight)
        encoder = encoder.to(context.device).train()
        optimiser = torch.optim.AdamW(encoder.parameters(), lr=config.learning_rate, weight_decay=1e-4)
        state = _State(encoder, optimiser, generator, discriminator)
        path = context.folder / "checkpoint.pt"
        if context.resume and path.exists():
            stored = load_checkpoint(path, identity=self._identity(data, context))
            encoder.load_state_dict(stored["encoder"])
            optimiser.load_state_dict(stored["optimiser"])
            state.step, state.cpu_seconds = stored["step"], stored["cpu_seconds"]
        return state

    def _architecture(self, generator: BigGANArchitecture) -> LightEncoderArchitecture:
        config = self.config
        if generator.image[1] % 8:
            side = generator.image[1]
            message = f"the light encoder is for images whose side is a multiple of 8, {config.generator} makes {side}"
            raise InputError(message)
        return LightEncoderArchitecture(
            image=generator.image,
            dim_z=sum(generator.chunks),
            classes=generator.classes,
            embedding=generator.embedding,
            widths=config.widths,
            squeezed=config.squeezed,
            hidden=config.hidden,
        )

    def _save(self, state: _State, data: Dataset, context: TrainContext) -> None:
        stored = {
            "encoder": state.encoder.state_dict(),
            "optimiser": state.optimiser.state_dict(),
            "step": state.step,
            "cpu_seconds": state.processor_time(),
        }
        save_checkpoint(context.folder / "checkpoint.pt", stored, identity=self._identity(data, context))

    def _identity(self, data: Dataset, context: TrainContext) -> dict[str, object]:
        return {"seed": context.seed, **identity(data), **self.config.model_dump(mode="json")}

    def _finish(self, state: _State, data: Dataset, context: TrainContext) -> Trained:
        seconds = state.processor_time()
        path = context.folder / "weights.safetensors"
        save(state.generator, path, encoder=state.encoder.eval())
        card = write_card(
            path,
            title=f"BigGAN {data.info.name} with encoder",
            summary=f"{SUMMARY} {DENOISING}" if self.config.denoising else SUMMARY,
            command=training_command("encoder", "biggan", self.config, data=data.info, seed=context.seed),
            data=data.info,
            split="train",
            seed=context.seed,
            seconds=seconds,
        )
        return Trained(path, card, {"cpu_seconds": seconds}, use=(f"generator.weights={path}",))
