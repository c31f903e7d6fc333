"""Training an NVAE, on clean or noisy inputs."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch

from mlvgm.errors import ConfigError
from mlvgm.protocols.train import Made
from mlvgm.training.augmentation import noisy_inputs
from mlvgm.training.averages import early_decay, update_average
from mlvgm.training.minibatches import check_image
from mlvgm.training.schedule import set_rate
from mlvgm.training.session import Session
from mlvgm_nvae.build import load_weights
from mlvgm_nvae.evaluation import evaluate
from mlvgm_nvae.losses import balanced_kl, balancing_targets, bits_per_dimension
from mlvgm_nvae.network import build
from mlvgm_nvae.regularisation import SpectralPenalty, batch_norm_penalty
from mlvgm_nvae.schedule import kl_weights
from mlvgm_nvae.training_config import NVAETrainingConfig
from mlvgm_nvae.weights import save

_SUMMARY = "A hierarchical variational auto-encoder with residual posteriors."
_DENOISING = (
    "Trained with noise on the encoder's input and clean targets; no labels, no attacks. This is a step beyond the "
    "published method, which uses a generator as it is."
)


class NVAETraining:
    """``mlvgm train generator nvae``.

    Raises:
        InputError: the images do not fit the architecture, or the weights to start from are not usable.
        ConfigError: there is not one KL weight for each scale.
    """

    def __init__(self, config: NVAETrainingConfig, *, session: Session) -> None:
        self.config, self.session = config, session
        if config.init_from:
            model = load_weights(config.init_from).train().requires_grad_(True)
        else:
            model = build(config.architecture, seed=session.seed)
        self.architecture = model.architecture
        check_image(session.data.info, "architecture", self.architecture.image, option="architecture.image")
        scales = self.architecture.scales
        if not len(config.kl_start) == len(config.kl_end) == scales:
            raise ConfigError(f"train.kl_start and train.kl_end need one weight for each of {scales} scales")
        self.model = session.shared(model)
        self.average = copy.deepcopy(self.model).eval().requires_grad_(False)
        self.optimiser = torch.optim.AdamW(
            self.model.parameters(),
            betas=(0.9, 0.99),
            weight_decay=config.weight_decay,
            fused=session.device.startswith(("cpu", "cuda")),
        )
        self.spectral = SpectralPenalty(self.model, seed=session.seed)
        self.parts = {
            "model": self.model,
            "average": self.average,
            "optimiser": self.optimiser,
            "spectral": self.spectral,
        }

    def step(self, number: int) -> Mapping[str, float]:
        config, session, model, architecture = self.config, self.session, self.model, self.architecture
        images, _, draws = session.minibatch(number)
        set_rate(config.rate(number), self.optimiser)
        noise = [draws.normal(f"z{i}", shape) for i, shape in enumerate(architecture.latent_shapes)]
        weights = kl_weights(
            number / config.steps,
            start=config.kl_start,
            end=config.kl_end,
            warmup=config.kl_warmup,
            architecture=architecture,
        ).to(session.device)

        model.train()
        result = model(noisy_inputs(images, draws, sigmas=config.noise_range, share=config.noisy_share), noise)
        reconstruction = -model.pixels(result.parameters).log_likelihood(images).sum((1, 2)).mean()
        kl = result.kl * weights
        if config.kl_balancing and number < config.kl_warmup * config.steps:
            carried = session.mean(kl.abs().mean(0))
            kl = balanced_kl(kl, balancing_targets(architecture), carried=carried)
        else:
            kl = kl.sum(1)
        loss = reconstruction + kl.mean()
        if config.spectral:
            loss = loss + config.spectral * self.spectral()
        if config.batch_norm:
            loss = loss + config.batch_norm * batch_norm_penalty(model)
        norm = session.update(self.optimiser, loss, clip=config.clip)
        update_average(self.average, model, decay=early_decay(config.ema, number))
        if number + 1 in config.snapshots and session.workers.leads:
            save(self.average, session.folder / f"weights-step{number + 1:06d}.safetensors")
        total = result.kl.detach().sum(1).mean()
        return {
            "loss": loss.item(),
            "bits_per_dimension": bits_per_dimension(reconstruction.detach() + total, architecture).item(),
            "kl": total.item(),
            "gradient": norm.item(),
        }

    def finish(self) -> Made:
        session, path = self.session, self.session.weights
        save(self.average, path)
        count = min(self.config.evaluation_images, session.data.size("test"))
        figures = evaluate(self.average, session.data, split="test", count=count, seed=session.seed)
        kl = " ".join(f"{value:.1f}" for value in figures.kl)
        return Made(
            title=f"NVAE {path.stem}",
            summary=_DENOISING if self.config.denoising else _SUMMARY,
            use=(f"generator.weights={path}",),
            metrics={"bits_per_dimension": figures.bits_per_dimension},
            findings=(
                f"On the first {figures.images} {figures.split} images: {figures.bits_per_dimension:.3f} bits per "
                f"dimension, mean squared error of reconstructions {figures.squared_error:.4f}",
                f"KL of each latent, coarse to fine, in nats: {kl} (sum {sum(figures.kl):.1f})",
            ),
        )
