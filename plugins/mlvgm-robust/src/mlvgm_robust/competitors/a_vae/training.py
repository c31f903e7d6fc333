"""Training of an A-VAE against a WGAN-GP critic."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch

from mlvgm.noise import Keys, normal
from mlvgm.protocols.train import Made
from mlvgm.training.averages import early_decay, update_average
from mlvgm.training.measures import squared_error
from mlvgm.training.minibatches import check_image
from mlvgm.training.schedule import set_rate
from mlvgm.training.session import Session
from mlvgm_robust.competitors.a_vae.config import TEMPERATURE
from mlvgm_robust.competitors.a_vae.critic import Critic, critic_loss, gaussian_kl, gradient_penalty
from mlvgm_robust.competitors.a_vae.file import FILE
from mlvgm_robust.competitors.a_vae.network import AVAE
from mlvgm_robust.competitors.a_vae.training_config import AVAETrainingConfig

if TYPE_CHECKING:
    from torch import Tensor


class AVAETraining:
    """``mlvgm train purifier a-vae``.

    The published code trains with critic and KL alone, for up to three million steps. In the few thousand that a small
    model has here the critic does not tie images to their inputs, so a squared error is added
    (``train.reconstruction=0`` leaves it out).

    Raises:
        InputError: the images do not fit the architecture.
    """

    def __init__(self, config: AVAETrainingConfig, *, session: Session) -> None:
        self.config, self.session, a = config, session, config.architecture
        check_image(session.data.info, "architecture", a.image, option="architecture.image")
        network, critic = session.initial(lambda: (AVAE(a), Critic(a)))
        self.network, self.critic = network.to(session.device), critic.to(session.device)
        self.average = copy.deepcopy(self.network).requires_grad_(False)
        style = list(self.network.decoder.style.parameters())
        others = [*self.network.encoder.parameters()]
        others += [value for name, value in self.network.decoder.named_parameters() if not name.startswith("style.")]
        self.optimiser = _adam([{"params": others}, {"params": style, "factor": config.style_rate}])
        self.critic_optimiser = _adam([{"params": list(self.critic.parameters())}])
        self.parts = {
            "network": self.network,
            "critic": self.critic,
            "average": self.average,
            "optimiser": self.optimiser,
            "critic optimiser": self.critic_optimiser,
        }

    def step(self, number: int) -> Mapping[str, float]:
        config, network, critic = self.config, self.network, self.critic
        real, _, draws = self.session.minibatch(number)
        set_rate(config.rate(number), self.optimiser, self.critic_optimiser)
        encoded = network.encode(real)
        made = network.decode(encoded, draws.normal("latent", config.architecture.latent_shape))
        critic.requires_grad_(True)
        value = critic_loss(critic(real), critic(made.detach()), drift=config.drift)
        shares = draws.uniform("shares", (1, 1, 1))
        value = value + config.penalty * gradient_penalty(critic, real, made.detach(), shares)
        self.session.update(self.critic_optimiser, value)

        critic.requires_grad_(False)
        kl = gaussian_kl(encoded.mean, encoded.log_variance).mean()
        error = (made - real).square().sum((1, 2, 3)).mean()
        loss = config.kl * kl + config.reconstruction * error - config.adversarial * critic(made).mean()
        self.session.update(self.optimiser, loss)
        update_average(self.average, network, decay=early_decay(config.ema, number))
        return {"loss": loss.item(), "critic": value.item(), "error": error.item(), "kl": kl.item()}

    def finish(self) -> Made:
        session, network = self.session, self.average.eval()
        FILE.save(network, session.weights)
        keys = Keys.of(seed=session.seed, purpose="evaluation", samples=[0])

        def reconstruct(images: Tensor) -> Tensor:
            noise = normal(keys, "latent", (len(images), *self.config.architecture.latent_shape))[0].to(images)
            return network.decode(network.encode(images), TEMPERATURE * noise)

        count = min(self.config.evaluation_images, session.data.size("validation"))
        error = squared_error(reconstruct, session, "validation", count=count)
        finding = f"Mean squared error of the first {count} validation images, drawn once: {error:.4f}"
        return Made(
            title=f"A-VAE {session.data.info.name}",
            summary="A variational auto-encoder of pooled images with a styled decoder, trained against a WGAN-GP "
            "critic. No labels, no attacks.",
            use=("purifier.name=a-vae", f"purifier.weights={session.weights}"),
            metrics={"validation squared error": error} if count else {},
            findings=[finding] if count else [],
        )


def _adam(groups: list[dict[str, object]]) -> torch.optim.Adam:
    return torch.optim.Adam(groups, lr=1.0, betas=(0.0, 0.99), fused=True)
