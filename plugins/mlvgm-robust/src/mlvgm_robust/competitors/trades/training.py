"""TRADES: a classifier is fine-tuned to answer alike in an L2 ball around each image (arXiv 1901.08573)."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from safetensors.torch import save
from torch import nn

from mlvgm.errors import ConfigError
from mlvgm.files import write_bytes
from mlvgm.noise import Keys
from mlvgm.plugins.load import build, component, config_class
from mlvgm.protocols.train import TrainContext, Trained
from mlvgm.training.loop import run_steps, warm_cosine
from mlvgm.training.minibatches import check_data, minibatch
from mlvgm.weights.card import training_command, write_card
from mlvgm_robust.competitors.common import accuracy, flipped
from mlvgm_robust.competitors.trades.losses import perturbed, trades_loss
from mlvgm_robust.competitors.trades.training_config import TradesConfig

if TYPE_CHECKING:
    from mlvgm.protocols.data import DataInfo, Dataset

# What classifiers call the option that takes a file of weights.
_WEIGHTS_OPTIONS = ("weights", "checkpoint")


class TradesTraining:
    """``mlvgm train classifier trades``: any classifier that is a torch module, from the weights it has.

    The module is taken as it is used: batch norms that were merged into convolutions stay merged, others keep their
    statistics. What is written is the state dict of its network, for the same classifier to read.
    """

    def __init__(self, config: TradesConfig) -> None:
        self.config = config

    def train(self, data: Dataset, *, context: TrainContext) -> Trained:
        """Fine-tune on ``data``'s train split; weights, card and checkpoint go into ``context.folder``.

        Raises:
            InputError: the data are only a sample, or do not fit the classifier.
            ConfigError: the classifier is no torch module.
            CheckFailed: the loss became infinite or NaN.
        """
        config = self.config
        check_data(data.info, "classifier", data.info.image.shape, option="classifier")
        classifier = _trainable(config, data.info).to(context.device)
        optimiser = torch.optim.AdamW(classifier.parameters(), weight_decay=config.weight_decay, fused=True)

        def step(number: int) -> Mapping[str, float]:
            images, labels = minibatch(data, step=number, batch=config.batch, seed=context.seed)
            keys = Keys.of(seed=context.seed, purpose="train", samples=[number])
            images = (flipped(images, keys) if config.flips else images).to(context.device)
            labels = labels.to(context.device)
            attacked = perturbed(classifier, images, keys, eps=config.eps, steps=config.inner_steps)
            for group in optimiser.param_groups:
                factor = warm_cosine(number, steps=config.steps, warmup=config.warmup_steps)
                group["lr"] = config.learning_rate * factor
            loss = trades_loss(classifier, images, attacked, labels, beta=config.beta)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            return {"loss": loss.item()}

        seconds = run_steps(
            step,
            steps=config.steps,
            parts={"classifier": classifier, "optimiser": optimiser},
            context=context,
            identity={"data": data.info.name, **config.model_dump(mode="json", exclude={"checkpoint_every"})},
            every=config.checkpoint_every,
        )
        return self._finish(classifier, data, context, seconds)

    def _finish(self, classifier: nn.Module, data: Dataset, context: TrainContext, seconds: float) -> Trained:
        config, path = self.config, context.folder / "weights.safetensors"
        tensors = getattr(classifier, "network", classifier).state_dict()
        write_bytes(path, save({name: tensor.cpu().contiguous() for name, tensor in tensors.items()}))
        count = min(config.evaluation_images, data.size("validation"))
        right = accuracy(classifier, data, count=count, device=context.device)
        card = write_card(
            path,
            title=f"{config.classifier}, TRADES",
            summary=f"Fine-tuned with TRADES (arXiv 1901.08573): L2 {config.eps:g}, beta {config.beta:g}, "
            f"{config.inner_steps} inner steps. It replaces the classifier; nothing is purified.",
            command=training_command("classifier", "trades", config, data=data.info, seed=context.seed),
            data=data.info,
            seed=context.seed,
            seconds=seconds,
            findings=[f"Accuracy on the first {count} validation images, not trained on: {right:.2%}"] if count else (),
        )
        fields = config_class(component("classifiers", config.classifier)).model_fields
        use = next((f"classifier.{option}={path}" for option in _WEIGHTS_OPTIONS if option in fields), None)
        return Trained(
            path,
            card,
            {**({"validation accuracy": right} if count else {}), "cpu_seconds": seconds},
            use=(f"classifier.name={config.classifier}", *((use,) if use else ())),
        )


def _trainable(config: TradesConfig, data: DataInfo) -> nn.Module:
    """The classifier with parameters that learn.

    Raises:
        ConfigError: it is no torch module, or has no parameters.
    """
    classifier = build("classifiers", config.classifier, config.options, data=data)
    if not isinstance(classifier, nn.Module) or not any(True for _ in classifier.parameters()):
        kind = type(classifier).__name__
        raise ConfigError(
            f"TRADES trains torch modules with parameters, classifier '{config.classifier}' is a {kind}",
            hint="choose another train.classifier",
        )
    return copy.deepcopy(classifier).requires_grad_(True)


def trainer(config: TradesConfig) -> TradesTraining:
    """Factory of the trainer ``classifiers-trades``."""
    return TradesTraining(config)
