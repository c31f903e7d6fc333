"""Training a BigGAN."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch

from mlvgm.protocols.train import Made
from mlvgm.training.averages import early_decay, update_average
from mlvgm.training.schedule import set_rate
from mlvgm.training.session import Session
from mlvgm_biggan.biggan.discriminator import DiscriminatorArchitecture, build_discriminator, save_discriminator
from mlvgm_biggan.biggan.losses import discriminator_loss, generator_loss
from mlvgm_biggan.biggan.network import build
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


class BigGANTraining:
    """``mlvgm train generator biggan``: weights, and the discriminator beside them.

    Raises:
        InputError: images or classes do not fit the architecture.
    """

    def __init__(self, config: BigGANTrainingConfig, *, session: Session) -> None:
        self.config, self.session, a = config, session, config.architecture
        check_fit(session.data, a)
        generator = spectral_norm(build(a, seed=session.seed), seed=session.seed)
        self.generator = generator.to(session.device).to(memory_format=torch.channels_last).train()
        widths = config.discriminator_widths
        architecture = DiscriminatorArchitecture(channels=a.image_channels, classes=a.classes, widths=widths)
        self.discriminator = build_discriminator(architecture, seed=session.seed).to(session.device)
        self.average = copy.deepcopy(self.generator).eval().requires_grad_(False)
        self.generator_optimiser = torch.optim.Adam(self.generator.parameters(), betas=(0.0, 0.99))
        self.discriminator_optimiser = torch.optim.Adam(self.discriminator.parameters(), betas=(0.0, 0.99))
        self.parts = {
            "generator": self.generator,
            "average": self.average,
            "discriminator": self.discriminator,
            "generator_optimiser": self.generator_optimiser,
            "discriminator_optimiser": self.discriminator_optimiser,
        }

    def step(self, number: int) -> Mapping[str, float]:
        config, session, discriminator = self.config, self.session, self.discriminator
        images, classes, draws = session.minibatch(number)
        factor = config.decayed(number)
        set_rate(config.generator_rate * factor, self.generator_optimiser)
        set_rate(config.discriminator_rate * factor, self.discriminator_optimiser)

        # Both players see the same draws: the generator need not run twice.
        chunks, drawn = draw(config.architecture, draws.keys, count=config.batch, device=session.device)
        generated = self.generator(chunks, self.generator.embed(drawn))
        scores = discriminator(torch.cat([2 * images - 1, generated.detach()]), torch.cat([classes, drawn]))
        loss = discriminator_loss(*scores.split(config.batch))
        session.update(self.discriminator_optimiser, loss)

        discriminator.requires_grad_(False)
        adversarial = generator_loss(discriminator(generated, drawn))
        session.update(self.generator_optimiser, adversarial)
        discriminator.requires_grad_(True)
        update_average(self.average, self.generator, decay=early_decay(config.ema, number))
        return {"discriminator": loss.item(), "generator": adversarial.item()}

    def finish(self) -> Made:
        config, session = self.config, self.session
        finished = fold(self.average)
        standing_statistics(finished, batches=config.standing_batches, batch=config.batch, seed=session.seed)
        save(finished, session.weights)
        save_discriminator(self.discriminator, session.folder / "discriminator.safetensors")
        title = f"BigGAN {session.data.info.name}"
        return Made(title=title, summary=SUMMARY, use=(f"generator.weights={session.weights}",))
