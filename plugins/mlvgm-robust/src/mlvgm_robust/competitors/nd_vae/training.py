"""Training of an ND-VAE from attacked images to clean ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch

from mlvgm.noise import Keys
from mlvgm.plugins.load import build
from mlvgm.protocols.train import Made
from mlvgm.training.draws import Draws
from mlvgm.training.measures import accuracy, squared_error
from mlvgm.training.minibatches import check_image
from mlvgm.training.schedule import set_rate
from mlvgm.training.session import Session
from mlvgm_robust.competitors.nd_vae.file import FILE
from mlvgm_robust.competitors.nd_vae.network import NDVAE
from mlvgm_robust.competitors.nd_vae.training_config import NDVAETrainingConfig
from mlvgm_robust.competitors.nd_vae.training_data import attacked, batch_noise, noised

if TYPE_CHECKING:
    from torch import Tensor


class NDVAETraining:
    """``mlvgm train purifier nd-vae``: the bound of the clean image's likelihood, given the attacked one.

    The published models attack at L2 4 for 256×256 pixels and 2 for 64×64; at 32×32 each image has its own radius,
    between 1 and 2 by default.

    Raises:
        InputError: the images do not fit the architecture.
    """

    def __init__(self, config: NDVAETrainingConfig, *, session: Session) -> None:
        self.config, self.session = config, session
        check_image(session.data.info, "architecture", config.architecture.image, option="architecture.image")
        classifier = build("classifiers", config.classifier, config.options, data=session.data.info)
        self.classifier = classifier.to(session.device)
        self.network = session.shared(session.initial(lambda: NDVAE(config.architecture)))
        self.optimiser = torch.optim.Adamax(self.network.parameters(), eps=1e-3, weight_decay=config.weight_decay)
        self.parts = {"network": self.network, "optimiser": self.optimiser}

    def step(self, number: int) -> Mapping[str, float]:
        config = self.config
        images, labels, draws = self.session.minibatch(number)
        set_rate(config.rate(number), self.optimiser)
        noise, *latents = self._noise(draws)
        inputs = noised(attacked(self.classifier, images, labels, draws, eps=config.eps), noise, std=config.std)
        found = self.network(inputs, latents)
        reconstruction, kl = -found.pixels.log_likelihood(images).mean(), found.kl.sum(1).mean()
        loss = reconstruction + kl_weight(number, steps=config.steps, share=config.kl_warmup) * kl
        norm = self.session.update(self.optimiser, loss, clip=config.clip)
        return {"loss": loss.item(), "kl": kl.item(), "gradient": norm.item()}

    def _noise(self, draws: Draws) -> list[Tensor]:
        return batch_noise(draws, self.config.architecture.image, self.config.architecture.latent_shapes)

    def finish(self) -> Made:
        config, session, network = self.config, self.session, self.network.eval()
        FILE.save(network, session.weights)
        keys = Keys.of(seed=session.seed, purpose="evaluation", samples=[0])

        def purify(images: Tensor) -> Tensor:
            noise, *latents = self._noise(Draws(keys, len(images), device=session.device))
            mean: Tensor = network(noised(images, noise, std=config.std), latents).pixels.mean()
            return mean.clamp(0, 1)

        count = min(config.evaluation_images, session.data.size("validation"))
        error = squared_error(purify, session, "validation", count=count)
        right = accuracy(lambda images: self.classifier(purify(images)), session, "validation", count=count)
        finding = (
            f"On the first {count} validation images, clean, purified once: mean squared error {error:.4f}, accuracy "
            f"of {config.classifier} {right:.2%}"
        )
        return Made(
            title=f"ND-VAE {session.data.info.name}",
            summary="A hierarchical variational auto-encoder that was trained from noisy images, attacked with FGSM "
            f"(L2 {config.eps[0]:g} to {config.eps[1]:g}, labels used) on {config.classifier}, to clean ones.",
            use=("purifier.name=nd-vae", f"purifier.weights={session.weights}"),
            metrics={"validation squared error": error, "validation accuracy": right} if count else {},
            findings=[finding] if count else [],
        )


def kl_weight(step: int, *, steps: int, share: float) -> float:
    """Rises linearly over a share of the steps, then 1.

    >>> kl_weight(15, steps=100, share=0.3), kl_weight(99, steps=100, share=0.3)
    (0.5, 1.0)
    """
    return min(1.0, step / (share * steps)) if share else 1.0
