"""Training an encoder for a trained BigGAN."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from mlvgm.errors import InputError
from mlvgm.protocols.train import Made
from mlvgm.training.augmentation import noisy_inputs
from mlvgm.training.schedule import set_rate
from mlvgm.training.session import Session
from mlvgm_biggan.biggan.architecture import BigGANArchitecture
from mlvgm_biggan.biggan.build import load_weights
from mlvgm_biggan.biggan.discriminator import Discriminator, load_discriminator
from mlvgm_biggan.biggan.training_data import check_fit, draw
from mlvgm_biggan.biggan.weights import save
from mlvgm_biggan.encoder.light import LightEncoderArchitecture, build_encoder
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


class EncoderTraining:
    """``mlvgm train encoder biggan``: writes generator and encoder as one file.

    Raises:
        InputError: the data do not fit the generator, or a weights file is not usable.
    """

    def __init__(self, config: EncoderTrainingConfig, *, session: Session) -> None:
        self.config, self.session = config, session
        self.generator = load_weights(config.generator)[0].requires_grad_(False).to(session.device)
        architecture = self.generator.architecture
        check_fit(session.data, architecture)
        self.discriminator: Discriminator | None = None
        if config.discriminator:
            self.discriminator = load_discriminator(Path(config.discriminator)).to(session.device)
            if self.discriminator.architecture.channels != architecture.image_channels:
                raise InputError(f"{config.discriminator}: its images have other channels than the generator's")
        encoder = build_encoder(_architecture(config, architecture), seed=session.seed)
        encoder.embeddings.copy_(self.generator.embedding.weight)
        self.encoder = encoder.to(session.device).train()
        self.optimiser = torch.optim.AdamW(self.encoder.parameters(), weight_decay=1e-4)
        self.parts = {"encoder": self.encoder, "optimiser": self.optimiser}

    def step(self, number: int) -> Mapping[str, float]:
        config, session, generator = self.config, self.session, self.generator
        real = session.minibatch(number).images
        draws = session.draws(number, count=2 * config.batch, purpose="encoder")
        chunks, classes = draw(generator.architecture, draws.keys, count=config.batch, device=session.device)
        with torch.no_grad():
            generated = (generator(chunks, generator.embed(classes)) + 1) / 2
        set_rate(config.rate(number), self.optimiser)
        images = torch.cat([generated, real])
        losses = encoder_losses(
            self.encoder,
            generator,
            self.discriminator,
            generated=generated,
            z=torch.cat(chunks, 1),
            classes=classes,
            real=real,
            inputs=noisy_inputs(images, draws, sigmas=config.noise_range, share=config.noisy_share),
        )
        terms = vars(losses)
        loss = torch.stack([getattr(config, name) * term for name, term in terms.items()]).sum()
        session.update(self.optimiser, loss)
        return {"loss": loss.item(), **{name: term.item() for name, term in terms.items()}}

    def finish(self) -> Made:
        session = self.session
        save(self.generator, session.weights, encoder=self.encoder.eval())
        return Made(
            title=f"BigGAN {session.data.info.name} with encoder",
            summary=f"{SUMMARY} {DENOISING}" if self.config.denoising else SUMMARY,
            use=(f"generator.weights={session.weights}",),
        )


def _architecture(config: EncoderTrainingConfig, generator: BigGANArchitecture) -> LightEncoderArchitecture:
    side = generator.image[1]
    if side % 8:
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
