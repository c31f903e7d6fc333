"""Training an encoder into W+ for a generator that stays as it is."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from mlvgm.errors import InputError
from mlvgm.noise import Keys, normal
from mlvgm.protocols.train import Made
from mlvgm.training.averages import early_decay, update_average
from mlvgm.training.draws import Draws
from mlvgm.training.measures import squared_error
from mlvgm.training.minibatches import check_image
from mlvgm.training.schedule import set_rate
from mlvgm.training.session import Session
from mlvgm.weights.file import write_weights
from mlvgm_stylegan.encoders.light import LightEncoderArchitecture, build_encoder
from mlvgm_stylegan.encoders.losses import feature_distance, offset_penalty
from mlvgm_stylegan.encoders.training_config import EncoderTrainingConfig
from mlvgm_stylegan.stylegan2.build import load_weights
from mlvgm_stylegan.stylegan2.discriminator import Discriminator, load_discriminator
from mlvgm_stylegan.stylegan2.network import StyleGAN2
from mlvgm_stylegan.stylegan2.weights import contents


class EncoderTraining:
    """``mlvgm train encoder stylegan2``: real images are reconstructed, the styles of generated ones are found.

    Neither labels nor a classifier take part.

    Raises:
        InputError: the images do not fit the generator, or its weights are not usable.
    """

    def __init__(self, config: EncoderTrainingConfig, *, session: Session) -> None:
        self.config, self.session, info = config, session, session.data.info
        self.generator = load_generator(config.generator).to(session.device).requires_grad_(False)
        a = self.generator.architecture
        check_image(info, "generator", (a.image_channels, a.resolution, a.resolution), option="generator")
        self.discriminator: Discriminator | None = None
        if config.discriminator:
            discriminator = load_discriminator(Path(config.discriminator))
            self.discriminator = discriminator.to(session.device).requires_grad_(False)
        architecture = LightEncoderArchitecture(
            image=info.image.shape,
            styles=a.num_ws,
            w_dim=a.w_dim,
            widths=config.widths,
            kept=config.kept,
            hidden=config.hidden,
        )
        self.encoder = build_encoder(architecture, seed=session.seed).to(session.device)
        keys = Keys.of(seed=session.seed, purpose="statistics", samples=[0])
        with torch.no_grad():
            styles = self.generator.mapping(normal(keys, "z", (10_000, a.z_dim))[0].to(session.device))
            self.encoder.average.copy_(styles.mean(0))
            self.encoder.deviation.copy_(styles.std(0))
        self.optimiser = torch.optim.Adam(self.encoder.parameters(), betas=(0.9, 0.99))
        self.average = copy.deepcopy(self.encoder).requires_grad_(False)
        self.parts = {"encoder": self.encoder, "average": self.average, "optimiser": self.optimiser}

    def step(self, number: int) -> Mapping[str, float]:
        config, encoder, discriminator = self.config, self.encoder, self.discriminator
        set_rate(config.rate(number), self.optimiser)
        images, _, draws = self.session.minibatch(number)
        real = 2 * images - 1
        generated, styles = self._generated(draws)

        offsets = encoder(torch.cat([real, generated]))
        on_real, on_generated = offsets.split([len(real), len(generated)])
        reconstruction = self.generator.synthesis(encoder.average + encoder.deviation * on_real)
        # In [0, 1], where differences are half as large.
        squared, absolute = F.mse_loss(reconstruction, real) / 4, F.l1_loss(reconstruction, real) / 2
        error = (on_generated - (styles - encoder.average) / encoder.deviation).square().mean()
        loss = config.pixels * squared + config.absolute * absolute + config.styles * error
        loss = loss + config.offsets * offset_penalty(on_real)
        if discriminator is not None:
            with torch.no_grad():
                expected = discriminator.features(real)
            loss = loss + config.features * feature_distance(discriminator.features(reconstruction), expected)
        self.session.update(self.optimiser, loss)
        update_average(self.average, encoder, decay=early_decay(config.ema, number))
        return {"loss": loss.item(), "squared error": squared.item(), "style error": error.item()}

    @torch.no_grad()
    def _generated(self, draws: Draws) -> tuple[Tensor, Tensor]:
        """Images and their styles: half from one z for all layers, half from one for each."""
        a, count = self.generator.architecture, self.config.batch
        z = normal(draws.keys, "z", (count, a.num_ws, a.z_dim))[0]
        z[: count // 2] = z[: count // 2, :1]
        z = z[draws.rows].to(self.session.device)
        styles = self.generator.mapping(z.flatten(0, 1)).view(len(z), a.num_ws, a.w_dim)
        return self.generator.synthesis(styles), styles

    def finish(self) -> Made:
        session, generator, encoder = self.session, self.generator, self.average
        write_weights(session.weights, contents(generator, encoder))
        error = squared_error(
            lambda images: (generator.synthesis(encoder.encode(images)) + 1) / 2,
            session,
            "test",
            count=min(2000, session.data.size("test")),
        )
        count = sum(parameter.numel() for parameter in encoder.parameters())
        return Made(
            title=f"StyleGAN2 with an encoder into W+, {session.data.info.name}",
            summary=f"The StyleGAN2 '{self.config.generator}' and an encoder of {count:,} parameters for it.",
            use=(f"generator.weights={session.weights}",),
            metrics={"squared error": error},
            findings=[f"Mean squared error of reconstructed test images, [0, 1] pixels: {error:.4f}"],
        )


def load_generator(name: str) -> StyleGAN2:
    """The network called ``name``, without an encoder it may have.

    Raises:
        InputError: nothing has that name, or the file is not usable, or the model is class-conditional.
    """
    generator, _ = load_weights(name)
    if generator.architecture.classes:
        raise InputError(f"weights '{name}': class-conditional, which no encoder supports")
    return generator
