"""Training of an A-VAE against a WGAN-GP critic: deterministic in (seed, step), resumable."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch

from mlvgm.noise import Keys, normal, uniform
from mlvgm.protocols.train import TrainContext, Trained
from mlvgm.training.averages import early_decay, update_average
from mlvgm.training.minibatches import check_data
from mlvgm_robust.competitors.a_vae.critic import Critic, critic_loss, gaussian_kl, gradient_penalty
from mlvgm_robust.competitors.a_vae.file import FILE
from mlvgm_robust.competitors.a_vae.network import AVAE
from mlvgm_robust.competitors.a_vae.purifier import TEMPERATURE
from mlvgm_robust.competitors.a_vae.training_config import AVAETrainingConfig
from mlvgm_robust.competitors.training import Training

if TYPE_CHECKING:
    from torch import Tensor

    from mlvgm.protocols.data import Dataset


class AVAETraining:
    """``mlvgm train purifier a-vae``.

    The published code trains with critic and KL alone, for up to three million steps. In the few thousand that a small
    model has here the critic does not tie images to their inputs, so a squared error is added
    (``train.reconstruction=0`` leaves it out).
    """

    def __init__(self, config: AVAETrainingConfig) -> None:
        self.config = config

    def train(self, data: Dataset, *, context: TrainContext) -> Trained:
        """Train on ``data``'s train split; weights, card and checkpoint go into ``context.folder``.

        Raises:
            InputError: the data are only a sample, or their images do not fit the architecture.
            CheckFailed: a loss became infinite or NaN.
        """
        config, a = self.config, self.config.architecture
        check_data(data.info, "architecture", a.image, option="architecture.image")
        training = Training("purifier", "a-vae", config, data, context)
        network, critic = (part.to(context.device) for part in training.initial(lambda: (AVAE(a), Critic(a))))
        average = copy.deepcopy(network).requires_grad_(False)
        optimiser, critic_optimiser = self._optimisers(network, critic)

        def step(number: int) -> Mapping[str, float]:
            real, _, keys = training.minibatch(number)
            training.set_rate(number, optimiser, critic_optimiser)
            encoded = network.encode(real)
            made = network.decode(encoded, normal(keys, "latent", (len(real), *a.latent_shape))[0].to(real))
            critic.requires_grad_(True)
            shares = uniform(keys, "shares", (len(real), 1, 1, 1))[0].to(real)
            value = critic_loss(critic(real), critic(made.detach()), drift=config.drift)
            value = value + config.penalty * gradient_penalty(critic, real, made.detach(), shares)
            _update(critic_optimiser, value)

            critic.requires_grad_(False)
            kl = gaussian_kl(encoded.mean, encoded.log_variance).mean()
            error = (made - real).square().sum((1, 2, 3)).mean()
            loss = config.kl * kl + config.reconstruction * error - config.adversarial * critic(made).mean()
            _update(optimiser, loss)
            update_average(average, network, decay=early_decay(config.ema, number))
            return {"loss": loss.item(), "critic": value.item(), "error": error.item(), "kl": kl.item()}

        parts = {
            "network": network,
            "critic": critic,
            "average": average,
            "optimiser": optimiser,
            "critic optimiser": critic_optimiser,
        }
        seconds = training.run(step, parts)
        return self._finish(average.eval(), training, seconds)

    def _optimisers(self, network: AVAE, critic: Critic) -> tuple[torch.optim.Adam, torch.optim.Adam]:
        style = list(network.decoder.style.parameters())
        others = [*network.encoder.parameters()]
        others += [value for name, value in network.decoder.named_parameters() if not name.startswith("style.")]
        groups = [{"params": others}, {"params": style, "factor": self.config.style_rate}]
        return _adam(groups), _adam([{"params": list(critic.parameters())}])

    def _finish(self, network: AVAE, training: Training, seconds: float) -> Trained:
        FILE.save(network, training.weights)
        keys = Keys.of(seed=training.context.seed, purpose="evaluation", samples=[0])

        def reconstruct(images: Tensor) -> Tensor:
            noise = normal(keys, "latent", (len(images), *self.config.architecture.latent_shape))[0].to(images)
            return network.decode(network.encode(images), TEMPERATURE * noise)

        error = training.squared_error(reconstruct)
        return training.finished(
            title=f"A-VAE {training.data.info.name}",
            summary="A variational auto-encoder of pooled images with a styled decoder, trained against a WGAN-GP "
            "critic. No labels, no attacks.",
            metrics={"validation squared error": error},
            finding=f"Mean squared error of the first {training.measured} validation images, drawn once: {error:.4f}",
            seconds=seconds,
            use=("purifier.name=a-vae", f"purifier.weights={training.weights}"),
        )


def _adam(groups: list[dict[str, object]]) -> torch.optim.Adam:
    return torch.optim.Adam(groups, lr=1.0, betas=(0.0, 0.99), fused=True)


def _update(optimiser: torch.optim.Adam, loss: Tensor) -> None:
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    optimiser.step()


def trainer(config: AVAETrainingConfig) -> AVAETraining:
    """Factory of the trainer ``purifiers-a-vae``."""
    return AVAETraining(config)
