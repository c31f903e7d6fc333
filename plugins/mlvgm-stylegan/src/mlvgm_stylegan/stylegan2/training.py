"""Training a StyleGAN2: deterministic in (seed, step), resumable (arXiv 1912.04958, optionally 2006.06676)."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from mlvgm.errors import CheckFailed, InputError
from mlvgm.noise import Keys, normal, uniform
from mlvgm.protocols.data import Dataset
from mlvgm.protocols.train import TrainContext, Trained
from mlvgm.training.averages import update_average
from mlvgm.training.minibatches import check_data, identity, minibatch
from mlvgm.weights.card import training_command, write_card
from mlvgm.weights.checkpoint import load_checkpoint, save_checkpoint
from mlvgm.weights.file import write_weights
from mlvgm_stylegan.stylegan2.architecture import light
from mlvgm_stylegan.stylegan2.augmentation import augment, updated_probability
from mlvgm_stylegan.stylegan2.discriminator import (
    Discriminator,
    build_discriminator,
    discriminator_contents,
    light_discriminator,
)
from mlvgm_stylegan.stylegan2.losses import (
    discriminator_loss,
    generator_loss,
    path_length_penalty,
    path_lengths,
    r1_penalty,
)
from mlvgm_stylegan.stylegan2.network import StyleGAN2, build
from mlvgm_stylegan.stylegan2.training_config import StyleGAN2TrainingConfig
from mlvgm_stylegan.stylegan2.weights import contents


@dataclass
class _State:
    """What changes from step to step."""

    generator: StyleGAN2
    discriminator: Discriminator
    average: StyleGAN2
    generator_optimiser: torch.optim.Adam
    discriminator_optimiser: torch.optim.Adam
    path_mean: Tensor
    augmentation: float = 0.0
    signs: float = 0.0
    step: int = 0
    cpu_seconds: float = 0.0
    started: float = field(default_factory=time.process_time)

    def processor_time(self) -> float:
        return self.cpu_seconds + time.process_time() - self.started


class StyleGAN2Training:
    """``mlvgm train generator stylegan2``.

    Every step is a function of the seed, the step's number and the state before it: a training that was killed and
    resumed from its checkpoint ends with the same weights as one that was not.
    """

    def __init__(self, config: StyleGAN2TrainingConfig) -> None:
        self.config = config

    def train(self, data: Dataset, *, context: TrainContext) -> Trained:
        """Train on ``data``'s train split; weights, card and checkpoint go into ``context.folder``.

        Raises:
            InputError: the data are only a sample, or their images do not fit the architectures.
            CheckFailed: the parameters became infinite or NaN.
        """
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
        real = self._real(data, state, keys, context)
        ws = self._styles(state.generator, keys, config.batch)
        images = state.generator.synthesis(ws, self._noise(state.generator, keys, config.batch))

        state.discriminator.requires_grad_(True)
        on_real = state.discriminator(self._augmented(real, keys.derive("real"), state))
        on_images = state.discriminator(self._augmented(images.detach(), keys.derive("generated"), state))
        d_loss = discriminator_loss(on_real, on_images)
        _update(state.discriminator_optimiser, d_loss)
        if config.r1 and state.step % config.r1_every == 0:
            self._penalise_gradients(state, real, keys)

        state.discriminator.requires_grad_(False)
        g_loss = generator_loss(state.discriminator(self._augmented(images, keys.derive("generator"), state)))
        _update(state.generator_optimiser, g_loss)
        if config.path_length and state.step % config.path_every == 0:
            self._penalise_paths(state, keys)

        if config.augment:
            self._adapt(state, on_real.detach())
        update_average(state.average, state.generator, decay=config.ema)
        state.step += 1
        metrics = {"generator": g_loss.item(), "discriminator": d_loss.item(), "path length": state.path_mean.item()}
        if not all(map(math.isfinite, metrics.values())):
            raise CheckFailed(f"training diverged at step {state.step}", hint="lower the learning rates or raise r1")
        return {**metrics, "augmentation": state.augmentation} if config.augment else metrics

    def _penalise_gradients(self, state: _State, real: Tensor, keys: Keys) -> None:
        images = self._augmented(real, keys.derive("penalty"), state).detach().requires_grad_()
        penalty = r1_penalty(state.discriminator(images), images)
        _update(state.discriminator_optimiser, penalty * (self.config.r1 / 2 * self.config.r1_every))

    def _penalise_paths(self, state: _State, keys: Keys) -> None:
        # Half the batch: gradients of gradients cost twice the memory (appendix B).
        keys, count = keys.derive("path"), max(self.config.batch // 2, 1)
        ws = self._styles(state.generator, keys, count)
        images = state.generator.synthesis(ws, self._noise(state.generator, keys, count))
        directions = normal(keys, "directions", images.shape)[0].to(images) / (images[0, 0].numel()) ** 0.5
        lengths = path_lengths(images, ws, directions)
        state.path_mean = state.path_mean.lerp(lengths.detach().mean(), self.config.path_decay)
        penalty = path_length_penalty(lengths, state.path_mean)
        _update(state.generator_optimiser, penalty * (self.config.path_length * self.config.path_every))

    def _adapt(self, state: _State, logits: Tensor) -> None:
        # The mean of signs over four steps, as in section 3.1 of arXiv 2006.06676.
        state.signs += logits.sign().mean().item() / 4
        if state.step % 4 == 3:
            images, config = 4 * self.config.batch, self.config
            state.augmentation = updated_probability(
                state.augmentation, signs=state.signs, target=config.augment, images=images, ramp=config.augment_ramp
            )
            state.signs = 0.0

    def _real(self, data: Dataset, state: _State, keys: Keys, context: TrainContext) -> Tensor:
        images = minibatch(data, step=state.step, batch=self.config.batch, seed=context.seed)[0].to(context.device)
        if self.config.flips:
            mirror = uniform(keys, "mirror", (len(images), 1, 1, 1))[0].to(images) < 0.5
            images = torch.where(mirror, images.flip(3), images)
        return 2 * images - 1

    def _styles(self, generator: StyleGAN2, keys: Keys, count: int) -> Tensor:
        """Styles of one z for every layer, or of two, the second from a random layer on (arXiv 1812.04948, 3.1)."""
        a = generator.architecture
        z = normal(keys, "z", (2 * count, a.z_dim))[0].to(generator.mapping.average.device)
        first, second = generator.mapping(z).chunk(2)
        mean = torch.cat([first, second]).detach().mean(0)
        generator.mapping.average.copy_(mean.lerp(generator.mapping.average, self.config.w_decay))
        crossover = 1 + (uniform(keys, "crossover", (count,))[0] * (a.num_ws - 1)).long()
        mixed = uniform(keys, "mixed", (count,))[0] < self.config.style_mixing
        crossover = torch.where(mixed, crossover, a.num_ws).to(z.device)
        later = torch.arange(a.num_ws, device=z.device) >= crossover[:, None]
        return torch.where(later[:, :, None], second[:, None], first[:, None])

    def _noise(self, generator: StyleGAN2, keys: Keys, count: int) -> list[Tensor] | str:
        a = generator.architecture
        if not a.noise:
            return "none"
        device = generator.mapping.average.device
        sides = a.layer_resolutions
        return [normal(keys, f"noise{i}", (count, 1, side, side))[0].to(device) for i, side in enumerate(sides)]

    def _augmented(self, images: Tensor, keys: Keys, state: _State) -> Tensor:
        return augment(images, keys, probability=state.augmentation) if self.config.augment else images

    def _begin(self, data: Dataset, context: TrainContext) -> _State:
        config, image = self.config, data.info.image
        discriminator = build_discriminator(config.discriminator or light_discriminator(image), seed=context.seed)
        generator = build(config.architecture or light(image_channels=image.channels), seed=context.seed)
        a = generator.architecture
        made = (a.image_channels, a.resolution, a.resolution)
        check_data(data.info, "generator", made, option="architecture")
        check_data(data.info, "discriminator", discriminator.architecture.image, option="discriminator")
        generator, discriminator = generator.to(context.device), discriminator.to(context.device)
        state = _State(
            generator,
            discriminator,
            copy.deepcopy(generator).requires_grad_(False),
            _adam(generator.parameters(), config.learning_rate, config.path_every if config.path_length else 0),
            _adam(discriminator.parameters(), config.discriminator_rate, config.r1_every if config.r1 else 0),
            torch.zeros((), device=context.device),
        )
        path = context.folder / "checkpoint.pt"
        if context.resume and path.exists():
            stored = load_checkpoint(path, identity=self._identity(data, context))
            for name in _MODULES:
                getattr(state, name).load_state_dict(stored.pop(name))
            state.path_mean = stored.pop("path_mean").to(context.device)
            for name, value in stored.items():
                setattr(state, name, value)
        return state

    def _save(self, state: _State, data: Dataset, context: TrainContext) -> None:
        stored = {name: getattr(state, name).state_dict() for name in _MODULES}
        stored |= {name: getattr(state, name) for name in ("path_mean", "augmentation", "signs", "step")}
        stored["cpu_seconds"] = state.processor_time()
        save_checkpoint(context.folder / "checkpoint.pt", stored, identity=self._identity(data, context))

    def _identity(self, data: Dataset, context: TrainContext) -> dict[str, object]:
        options = self.config.model_dump(mode="json", exclude={"steps", "checkpoint_every"})
        return {"seed": context.seed, **identity(data), **options}

    def _finish(self, state: _State, data: Dataset, context: TrainContext) -> Trained:
        if state.step > self.config.steps:
            message = f"the checkpoint in '{context.folder}' is of step {state.step}, beyond {self.config.steps}"
            raise InputError(message, hint="raise train.steps, or train into another folder")
        seconds, path = state.processor_time(), context.folder / "weights.safetensors"
        write_weights(path, contents(state.average))
        # Encoder training compares its features.
        write_weights(context.folder / "discriminator.safetensors", discriminator_contents(state.discriminator))
        count = sum(parameter.numel() for parameter in state.average.parameters())
        card = write_card(
            path,
            title=f"StyleGAN2, {data.info.name}",
            summary=f"A StyleGAN2 of {count:,} parameters with {state.average.architecture.num_ws} styles.",
            command=training_command("generator", "stylegan2", self.config, data=data.info, seed=context.seed),
            data=data.info,
            split="train",
            seed=context.seed,
            seconds=seconds,
            findings=[f"{state.step * self.config.batch:,} real images shown; mean path length {state.path_mean:.3f}"],
        )
        return Trained(path, card, {"cpu_seconds": seconds}, use=(f"generator.weights={path}",))


_MODULES = ("generator", "discriminator", "average", "generator_optimiser", "discriminator_optimiser")


def _adam(parameters: Iterable[nn.Parameter], rate: float, lazy: int) -> torch.optim.Adam:
    """Adam with betas (0, 0.99), corrected for one more update every ``lazy`` steps (arXiv 1912.04958, appendix B)."""
    share = lazy / (lazy + 1) if lazy else 1.0
    return torch.optim.Adam(parameters, lr=rate * share, betas=(0.0, 0.99**share), eps=1e-8)


def _update(optimiser: torch.optim.Adam, loss: Tensor) -> None:
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    optimiser.step()
