"""Training an NVAE: deterministic in (seed, step), resumable, clean or with noisy inputs."""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from mlvgm.errors import CheckFailed, ConfigError
from mlvgm.noise import Keys, normal, uniform
from mlvgm.protocols.data import Dataset
from mlvgm.protocols.train import TrainContext, Trained
from mlvgm.training.averages import early_decay, update_average
from mlvgm.training.input_noise import noisy_inputs
from mlvgm.training.minibatches import check_data, identity, minibatch
from mlvgm.weights.checkpoint import load_checkpoint, save_checkpoint
from mlvgm_nvae.build import load_weights
from mlvgm_nvae.card import write_card
from mlvgm_nvae.evaluation import evaluate
from mlvgm_nvae.losses import balanced_kl, balancing_targets, bits_per_dimension
from mlvgm_nvae.network import NVAE, build
from mlvgm_nvae.regularisation import SpectralPenalty, batch_norm_penalty
from mlvgm_nvae.schedule import kl_weights, learning_rate
from mlvgm_nvae.training_config import NVAETrainingConfig
from mlvgm_nvae.weights import save


@dataclass
class _State:
    """What changes from step to step."""

    model: NVAE
    average: NVAE
    optimiser: torch.optim.AdamW
    spectral: SpectralPenalty
    step: int = 0
    cpu_seconds: float = 0.0
    started: float = field(default_factory=time.process_time)

    def processor_time(self) -> float:
        return self.cpu_seconds + time.process_time() - self.started


class NVAETraining:
    """``mlvgm train generator --generator nvae``.

    Every step is a function of the seed, the step's number and the state before it: a training that was killed and
    resumed from its checkpoint ends with the same weights as one that was not.
    """

    def __init__(self, config: NVAETrainingConfig) -> None:
        self.config = config

    def train(self, data: Dataset, *, context: TrainContext) -> Trained:
        """Train on ``data``'s train split; weights, card and checkpoint go into ``context.folder``.

        Raises:
            InputError: the data are only a sample, or their images do not fit the architecture.
            CheckFailed: the loss became infinite or NaN.
        """
        state = self._begin(data, context)
        check_data(data.info, "architecture", state.model.architecture.image, option="architecture.image")
        while state.step < self.config.steps:
            metrics = self._step(state, data, context)
            if state.step in self.config.snapshots:
                save(state.average, context.folder / f"weights-step{state.step:06d}.safetensors")
            if state.step % self.config.checkpoint_every == 0 or state.step == self.config.steps:
                self._save(state, data, context)
            context.progress(state.step, self.config.steps, metrics)
        return self._finish(state, data, context)

    def _step(self, state: _State, data: Dataset, context: TrainContext) -> Mapping[str, float]:
        config, model = self.config, state.model
        architecture = model.architecture
        images = self._images(state.step, data, context)
        keys = Keys.of(seed=context.seed, purpose="train", samples=[state.step])
        shapes = architecture.latent_shapes
        noise = [normal(keys, f"z{i}", (len(images), *shape))[0].to(context.device) for i, shape in enumerate(shapes)]
        weights = kl_weights(
            state.step / config.steps,
            start=config.kl_start,
            end=config.kl_end,
            warmup=config.kl_warmup,
            architecture=architecture,
        ).to(context.device)
        for group in state.optimiser.param_groups:
            factor = learning_rate(state.step, steps=config.steps, warmup=config.warmup_steps)
            group["lr"] = config.learning_rate * factor

        model.train()
        result = model(noisy_inputs(images, keys, sigmas=config.noise_range, share=config.noisy_share), noise)
        reconstruction = -model.pixels(result.parameters).log_likelihood(images).sum((1, 2)).mean()
        warming = state.step < config.kl_warmup * config.steps
        if config.kl_balancing and warming:
            kl = balanced_kl(result.kl * weights, balancing_targets(architecture)).mean()
        else:
            kl = (result.kl * weights).sum(1).mean()
        loss = reconstruction + kl
        if config.spectral:
            loss = loss + config.spectral * state.spectral()
        if config.batch_norm:
            loss = loss + config.batch_norm * batch_norm_penalty(model)
        state.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), config.clip)
        if not torch.isfinite(norm):
            raise CheckFailed(f"training diverged at step {state.step}", hint="lower the learning rate or the clip")
        state.optimiser.step()
        update_average(state.average, model, decay=early_decay(config.ema, state.step))
        state.step += 1
        bound = reconstruction.detach() + result.kl.detach().sum(1).mean()
        return {
            "loss": loss.item(),
            "bits_per_dimension": bits_per_dimension(bound, architecture).item(),
            "kl": result.kl.detach().sum(1).mean().item(),
        }

    def _images(self, step: int, data: Dataset, context: TrainContext) -> Tensor:
        """The step's clean images."""
        images = minibatch(data, step=step, batch=self.config.batch, seed=context.seed)[0].to(context.device)
        if self.config.flips:
            keys = Keys.of(seed=context.seed, purpose="train", samples=[step])
            mirror = uniform(keys, "flip", (len(images), 1, 1, 1))[0].to(images) < 0.5
            images = torch.where(mirror, images.flip(3), images)
        return images

    def _begin(self, data: Dataset, context: TrainContext) -> _State:
        config = self.config
        if config.init_from:
            model = load_weights(config.init_from).train().requires_grad_(True)
        else:
            model = build(config.architecture, seed=context.seed)
        scales = model.architecture.scales
        if not len(config.kl_start) == len(config.kl_end) == scales:
            raise ConfigError(f"train.kl_start and train.kl_end need one weight for each of {scales} scales")
        model = model.to(context.device)
        fused = str(context.device).startswith(("cpu", "cuda"))
        optimiser = torch.optim.AdamW(
            model.parameters(),
            lr=config.learning_rate,
            betas=(0.9, 0.99),
            weight_decay=config.weight_decay,
            fused=fused,
        )
        average = copy.deepcopy(model).eval().requires_grad_(False)
        state = _State(model, average, optimiser, SpectralPenalty(model, seed=context.seed))
        path = context.folder / "checkpoint.pt"
        if context.resume and path.exists():
            stored = load_checkpoint(path, identity=self._identity(data, context))
            model.load_state_dict(stored["model"])
            average.load_state_dict(stored["average"])
            optimiser.load_state_dict(stored["optimiser"])
            state.spectral.load_state_dict(stored["spectral"])
            state.step, state.cpu_seconds = stored["step"], stored["cpu_seconds"]
        return state

    def _save(self, state: _State, data: Dataset, context: TrainContext) -> None:
        stored = {
            "model": state.model.state_dict(),
            "average": state.average.state_dict(),
            "optimiser": state.optimiser.state_dict(),
            "spectral": state.spectral.state_dict(),
            "step": state.step,
            "cpu_seconds": state.processor_time(),
        }
        save_checkpoint(context.folder / "checkpoint.pt", stored, identity=self._identity(data, context))

    def _identity(self, data: Dataset, context: TrainContext) -> dict[str, object]:
        return {"seed": context.seed, **identity(data), **self.config.model_dump(mode="json")}

    def _finish(self, state: _State, data: Dataset, context: TrainContext) -> Trained:
        seconds = state.processor_time()
        path = context.folder / "weights.safetensors"
        save(state.average, path)
        count = min(self.config.evaluation_images, data.size("test"))
        figures = evaluate(state.average, data, split="test", count=count, seed=context.seed)
        card = write_card(path, config=self.config, figures=figures, data=data.info, seed=context.seed, seconds=seconds)
        metrics = {"bits_per_dimension": figures.bits_per_dimension, "cpu_seconds": seconds}
        return Trained(path, card, metrics, use=(f"generator.weights={path}",))
