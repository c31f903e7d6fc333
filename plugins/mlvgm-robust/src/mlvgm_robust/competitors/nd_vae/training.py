"""Training of an ND-VAE from attacked images to clean ones: deterministic in (seed, step), resumable."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import nn

from mlvgm.noise import Keys
from mlvgm.plugins.load import build
from mlvgm.protocols.train import TrainContext, Trained
from mlvgm.training.minibatches import check_data
from mlvgm_robust.competitors.nd_vae.file import FILE
from mlvgm_robust.competitors.nd_vae.network import NDVAE
from mlvgm_robust.competitors.nd_vae.training_config import NDVAETrainingConfig
from mlvgm_robust.competitors.nd_vae.training_data import attacked, batch_noise, noised
from mlvgm_robust.competitors.training import Training

if TYPE_CHECKING:
    from torch import Tensor

    from mlvgm.protocols.data import Dataset


class NDVAETraining:
    """``mlvgm train purifier nd-vae``: the bound of the clean image's likelihood, given the attacked one.

    The published models attack at L2 4 for 256×256 pixels and 2 for 64×64; at 32×32 each image has its own radius,
    between 1 and 2 by default.
    """

    def __init__(self, config: NDVAETrainingConfig) -> None:
        self.config = config

    def train(self, data: Dataset, *, context: TrainContext) -> Trained:
        """Train on ``data``'s train split; weights, card and checkpoint go into ``context.folder``.

        Raises:
            InputError: the data are only a sample, or their images do not fit the architecture.
            CheckFailed: the loss became infinite or NaN.
        """
        config, a = self.config, self.config.architecture
        check_data(data.info, "architecture", a.image, option="architecture.image")
        classifier = build("classifiers", config.classifier, config.options, data=data.info).to(context.device)
        training = Training("purifier", "nd-vae", config, data, context)
        network = training.initial(lambda: NDVAE(a)).to(context.device)
        optimiser = torch.optim.Adamax(network.parameters(), eps=1e-3, weight_decay=config.weight_decay)

        def step(number: int) -> Mapping[str, float]:
            images, labels, keys = training.minibatch(number)
            training.set_rate(number, optimiser)
            noise, *latents = (
                part.to(images) for part in batch_noise(keys, a.image, a.latent_shapes, rows=len(images))
            )
            inputs = noised(attacked(classifier, images, labels, keys, eps=config.eps), noise, std=config.std)
            found = network(inputs, latents)
            reconstruction, kl = -found.pixels.log_likelihood(images).mean(), found.kl.sum(1).mean()
            loss = reconstruction + kl_weight(number, steps=config.steps, share=config.kl_warmup) * kl
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            norm = nn.utils.clip_grad_norm_(network.parameters(), config.clip)
            optimiser.step()
            return {"loss": loss.item(), "kl": kl.item(), "gradient": norm.item()}

        seconds = training.run(step, {"network": network, "optimiser": optimiser})
        return self._finish(network.eval(), classifier, training, seconds)

    def _finish(self, network: NDVAE, classifier: nn.Module, training: Training, seconds: float) -> Trained:
        FILE.save(network, training.weights)
        config, a = self.config, self.config.architecture
        keys = Keys.of(seed=training.context.seed, purpose="evaluation", samples=[0])

        def purify(images: Tensor) -> Tensor:
            noise, *latents = (
                part.to(images) for part in batch_noise(keys, a.image, a.latent_shapes, rows=len(images))
            )
            return network(noised(images, noise, std=config.std), latents).pixels.mean().clamp(0, 1)

        error = training.squared_error(purify)
        right = training.accuracy(lambda images: classifier(purify(images)))
        return training.finished(
            title=f"ND-VAE {training.data.info.name}",
            summary="A hierarchical variational auto-encoder that was trained from noisy images, attacked with FGSM "
            f"(L2 {config.eps[0]:g} to {config.eps[1]:g}, labels used) on {config.classifier}, to clean ones.",
            metrics={"validation squared error": error, "validation accuracy": right},
            finding=f"On the first {training.measured} validation images, clean, purified once: mean squared error "
            f"{error:.4f}, accuracy of {config.classifier} {right:.2%}",
            seconds=seconds,
            use=("purifier.name=nd-vae", f"purifier.weights={training.weights}"),
        )


def kl_weight(step: int, *, steps: int, share: float) -> float:
    """Rises linearly over a share of the steps, then 1.

    >>> kl_weight(15, steps=100, share=0.3), kl_weight(99, steps=100, share=0.3)
    (0.5, 1.0)
    """
    return min(1.0, step / (share * steps)) if share else 1.0


def trainer(config: NDVAETrainingConfig) -> NDVAETraining:
    """Factory of the trainer ``purifiers-nd-vae``."""
    return NDVAETraining(config)
