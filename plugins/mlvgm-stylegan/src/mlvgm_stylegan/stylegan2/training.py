"""Training a StyleGAN2 (arXiv 1912.04958, optionally 2006.06676)."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from mlvgm.noise import Keys, normal, uniform
from mlvgm.protocols.train import Made
from mlvgm.training.averages import update_average
from mlvgm.training.minibatches import check_image
from mlvgm.training.session import Session
from mlvgm.weights.file import write_weights
from mlvgm_stylegan.stylegan2.architecture import light
from mlvgm_stylegan.stylegan2.augmentation import augment, updated_probability
from mlvgm_stylegan.stylegan2.discriminator import build_discriminator, discriminator_contents, light_discriminator
from mlvgm_stylegan.stylegan2.losses import (
    discriminator_loss,
    generator_loss,
    path_length_penalty,
    path_lengths,
    r1_penalty,
)
from mlvgm_stylegan.stylegan2.network import build
from mlvgm_stylegan.stylegan2.training_config import StyleGAN2TrainingConfig
from mlvgm_stylegan.stylegan2.weights import contents


class Running:
    """What steps remember beside parameters.

    Args:
        path_mean: mean path length so far, a scalar.
    """

    def __init__(self, path_mean: Tensor) -> None:
        self.path_mean = path_mean
        self.augmentation = 0.0
        self.signs = 0.0

    def state_dict(self) -> dict[str, Any]:
        return vars(self).copy()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        device = self.path_mean.device
        vars(self).update(state_dict)
        self.path_mean = self.path_mean.to(device)


class StyleGAN2Training:
    """``mlvgm train generator stylegan2``: weights, and the discriminator beside them.

    Raises:
        InputError: the images do not fit the architectures.
    """

    def __init__(self, config: StyleGAN2TrainingConfig, *, session: Session) -> None:
        self.config, self.session, info = config, session, session.data.info
        discriminator = build_discriminator(config.discriminator or light_discriminator(info.image), seed=session.seed)
        generator = build(config.architecture or light(image_channels=info.image.channels), seed=session.seed)
        a = generator.architecture
        check_image(info, "generator", (a.image_channels, a.resolution, a.resolution), option="architecture")
        check_image(info, "discriminator", discriminator.architecture.image, option="discriminator")
        self.generator, self.discriminator = generator.to(session.device), discriminator.to(session.device)
        self.average = copy.deepcopy(self.generator).requires_grad_(False)
        paths, gradients = (config.path_every if config.path_length else 0), (config.r1_every if config.r1 else 0)
        self.generator_optimiser = _adam(self.generator.parameters(), config.learning_rate, paths)
        self.discriminator_optimiser = _adam(self.discriminator.parameters(), config.discriminator_rate, gradients)
        self.running = Running(torch.zeros((), device=session.device))
        self.parts = {
            "generator": self.generator,
            "discriminator": self.discriminator,
            "average": self.average,
            "generator_optimiser": self.generator_optimiser,
            "discriminator_optimiser": self.discriminator_optimiser,
            "running": self.running,
        }

    def step(self, number: int) -> Mapping[str, float]:
        config, session, discriminator = self.config, self.session, self.discriminator
        images, _, draws = session.minibatch(number)
        real, keys = 2 * images - 1, draws.keys
        ws = self._styles(keys, config.batch)
        images = self.generator.synthesis(ws, self._noise(keys, config.batch))

        discriminator.requires_grad_(True)
        on_real = discriminator(self._augmented(real, keys.derive("real")))
        on_images = discriminator(self._augmented(images.detach(), keys.derive("generated")))
        d_loss = discriminator_loss(on_real, on_images)
        session.update(self.discriminator_optimiser, d_loss)
        if config.r1 and number % config.r1_every == 0:
            self._penalise_gradients(real, keys)

        discriminator.requires_grad_(False)
        g_loss = generator_loss(discriminator(self._augmented(images, keys.derive("generator"))))
        session.update(self.generator_optimiser, g_loss)
        if config.path_length and number % config.path_every == 0:
            self._penalise_paths(keys)

        if config.augment:
            self._adapt(number, on_real.detach())
        update_average(self.average, self.generator, decay=config.ema)
        figures = {
            "generator": g_loss.item(),
            "discriminator": d_loss.item(),
            "path length": self.running.path_mean.item(),
        }
        return figures | ({"augmentation": self.running.augmentation} if config.augment else {})

    def _penalise_gradients(self, real: Tensor, keys: Keys) -> None:
        images = self._augmented(real, keys.derive("penalty")).detach().requires_grad_()
        penalty = r1_penalty(self.discriminator(images), images)
        self.session.update(self.discriminator_optimiser, penalty * (self.config.r1 / 2 * self.config.r1_every))

    def _penalise_paths(self, keys: Keys) -> None:
        # Half the batch: gradients of gradients cost twice the memory (appendix B).
        keys, count = keys.derive("path"), max(self.config.batch // 2, 1)
        ws = self._styles(keys, count)
        images = self.generator.synthesis(ws, self._noise(keys, count))
        directions = normal(keys, "directions", images.shape)[0].to(images) / (images[0, 0].numel()) ** 0.5
        lengths = path_lengths(images, ws, directions)
        self.running.path_mean = self.running.path_mean.lerp(lengths.detach().mean(), self.config.path_decay)
        penalty = path_length_penalty(lengths, self.running.path_mean)
        self.session.update(self.generator_optimiser, penalty * (self.config.path_length * self.config.path_every))

    def _adapt(self, number: int, logits: Tensor) -> None:
        # The mean of signs over four steps, as in section 3.1 of arXiv 2006.06676.
        config, running = self.config, self.running
        running.signs += logits.sign().mean().item() / 4
        if number % 4 == 3:
            running.augmentation = updated_probability(
                running.augmentation,
                signs=running.signs,
                target=config.augment,
                images=4 * config.batch,
                ramp=config.augment_ramp,
            )
            running.signs = 0.0

    def _styles(self, keys: Keys, count: int) -> Tensor:
        """Styles of one z for every layer, or of two, the second from a random layer on (arXiv 1812.04948, 3.1)."""
        generator = self.generator
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

    def _noise(self, keys: Keys, count: int) -> list[Tensor] | str:
        a = self.generator.architecture
        if not a.noise:
            return "none"
        device = self.generator.mapping.average.device
        sides = a.layer_resolutions
        return [normal(keys, f"noise{i}", (count, 1, side, side))[0].to(device) for i, side in enumerate(sides)]

    def _augmented(self, images: Tensor, keys: Keys) -> Tensor:
        return augment(images, keys, probability=self.running.augmentation) if self.config.augment else images

    def finish(self) -> Made:
        session, config = self.session, self.config
        write_weights(session.weights, contents(self.average))
        # Encoder training compares its features.
        write_weights(session.folder / "discriminator.safetensors", discriminator_contents(self.discriminator))
        count = sum(parameter.numel() for parameter in self.average.parameters())
        mean = self.running.path_mean
        return Made(
            title=f"StyleGAN2, {session.data.info.name}",
            summary=f"A StyleGAN2 of {count:,} parameters with {self.average.architecture.num_ws} styles.",
            use=(f"generator.weights={session.weights}",),
            findings=[f"{config.steps * config.batch:,} real images shown; mean path length {mean:.3f}"],
        )


def _adam(parameters: Iterable[nn.Parameter], rate: float, lazy: int) -> torch.optim.Adam:
    """Adam with betas (0, 0.99), corrected for one more update every ``lazy`` steps (arXiv 1912.04958, appendix B)."""
    share = lazy / (lazy + 1) if lazy else 1.0
    return torch.optim.Adam(parameters, lr=rate * share, betas=(0.0, 0.99**share), eps=1e-8)
