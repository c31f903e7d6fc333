"""Training of an A-VAE against a WGAN-GP critic: deterministic in (seed, step), resumable."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch

from mlvgm.noise import Keys, normal, uniform
from mlvgm.protocols.train import TrainContext, Trained
from mlvgm.training.averages import early_decay, update_average
from mlvgm.training.loop import run_steps, warm_cosine
from mlvgm.training.minibatches import check_data, minibatch
from mlvgm.weights.card import training_command, write_card
from mlvgm_robust.competitors.a_vae.architecture import AVAEArchitecture, save
from mlvgm_robust.competitors.a_vae.critic import Critic, critic_loss, gaussian_kl, gradient_penalty
from mlvgm_robust.competitors.a_vae.network import AVAE
from mlvgm_robust.competitors.a_vae.purifier import TEMPERATURE
from mlvgm_robust.competitors.a_vae.training_config import AVAETrainingConfig
from mlvgm_robust.competitors.common import flipped, squared_error

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
        network, critic = (part.to(context.device) for part in _initial(a, seed=context.seed))
        average = copy.deepcopy(network).requires_grad_(False)
        optimiser, critic_optimiser = self._optimisers(network, critic)

        def step(number: int) -> Mapping[str, float]:
            keys = Keys.of(seed=context.seed, purpose="train", samples=[number])
            real = minibatch(data, step=number, batch=config.batch, seed=context.seed)[0].to(context.device)
            real = flipped(real, keys) if config.flips else real
            factor = warm_cosine(number, steps=config.steps, warmup=config.warmup_steps)
            for group in (*optimiser.param_groups, *critic_optimiser.param_groups):
                group["lr"] = config.learning_rate * group["factor"] * factor

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

        seconds = run_steps(
            step,
            steps=config.steps,
            parts={
                "network": network,
                "critic": critic,
                "average": average,
                "optimiser": optimiser,
                "critic optimiser": critic_optimiser,
            },
            context=context,
            identity={"data": data.info.name, **config.model_dump(mode="json", exclude={"checkpoint_every"})},
            every=config.checkpoint_every,
        )
        return self._finish(average.eval(), data, context, seconds)

    def _optimisers(self, network: AVAE, critic: Critic) -> tuple[torch.optim.Adam, torch.optim.Adam]:
        style = list(network.decoder.style.parameters())
        others = [*network.encoder.parameters()]
        others += [value for name, value in network.decoder.named_parameters() if not name.startswith("style.")]
        groups = [{"params": others, "factor": 1.0}, {"params": style, "factor": self.config.style_rate}]
        critics = [{"params": list(critic.parameters()), "factor": 1.0}]
        return _adam(groups), _adam(critics)

    def _finish(self, network: AVAE, data: Dataset, context: TrainContext, seconds: float) -> Trained:
        config, path = self.config, context.folder / "weights.safetensors"
        save(network, path)
        count = min(config.evaluation_images, data.size("validation"))
        keys = Keys.of(seed=context.seed, purpose="evaluation", samples=[0])

        def reconstruct(images: Tensor) -> Tensor:
            noise = normal(keys, "latent", (len(images), *config.architecture.latent_shape))[0].to(images)
            return network.decode(network.encode(images), TEMPERATURE * noise)

        error = squared_error(reconstruct, data, count=count, device=context.device)
        card = write_card(
            path,
            title=f"A-VAE {data.info.name}",
            summary="A variational auto-encoder of pooled images with a styled decoder, trained against a WGAN-GP "
            "critic. No labels, no attacks.",
            command=training_command("purifier", "a-vae", config, data=data.info, seed=context.seed),
            data=data.info,
            seed=context.seed,
            seconds=seconds,
            findings=[f"Mean squared error of the first {count} validation images, drawn once: {error:.4f}"]
            if count
            else (),
        )
        metrics = {"validation squared error": error} if count else {}
        return Trained(
            path, card, {**metrics, "cpu_seconds": seconds}, use=("purifier.name=a-vae", f"purifier.weights={path}")
        )


def _initial(architecture: AVAEArchitecture, *, seed: int) -> tuple[AVAE, Critic]:
    """Both networks at step 0: drawn from the seed, without disturbing the global random state."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return AVAE(architecture), Critic(architecture)


def _adam(groups: list[dict[str, object]]) -> torch.optim.Adam:
    return torch.optim.Adam(groups, lr=1.0, betas=(0.0, 0.99), fused=True)


def _update(optimiser: torch.optim.Adam, loss: Tensor) -> None:
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    optimiser.step()


def trainer(config: AVAETrainingConfig) -> AVAETraining:
    """Factory of the trainer ``purifiers-a-vae``."""
    return AVAETraining(config)
