"""TRADES: a classifier is fine-tuned to answer alike in an L2 ball around each image (arXiv 1901.08573)."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import nn

from mlvgm.errors import ConfigError
from mlvgm.files import write_bytes
from mlvgm.plugins.load import build, component, config_class
from mlvgm.protocols.train import TrainContext, Trained
from mlvgm.tensors_file import as_bytes
from mlvgm.training.minibatches import check_data
from mlvgm_robust.competitors.trades.losses import perturbed, trades_loss
from mlvgm_robust.competitors.trades.training_config import TradesConfig
from mlvgm_robust.competitors.training import Training

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
        training = Training("classifier", "trades", config, data, context)
        classifier = _trainable(config, data.info).to(context.device)
        optimiser = torch.optim.AdamW(classifier.parameters(), weight_decay=config.weight_decay, fused=True)

        def step(number: int) -> Mapping[str, float]:
            images, labels, keys = training.minibatch(number)
            training.set_rate(number, optimiser)
            attacked = perturbed(classifier, images, keys, eps=config.eps, steps=config.inner_steps)
            loss = trades_loss(classifier, images, attacked, labels, beta=config.beta)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            return {"loss": loss.item()}

        seconds = training.run(step, {"classifier": classifier, "optimiser": optimiser})
        return self._finish(classifier, training, seconds)

    def _finish(self, classifier: nn.Module, training: Training, seconds: float) -> Trained:
        config = self.config
        tensors = getattr(classifier, "network", classifier).state_dict()
        write_bytes(training.weights, as_bytes(tensors))
        right = training.accuracy(classifier)
        fields = config_class(component("classifiers", config.classifier)).model_fields
        options = [f"classifier.{option}={training.weights}" for option in _WEIGHTS_OPTIONS if option in fields]
        return training.finished(
            title=f"{config.classifier}, TRADES",
            summary=f"Fine-tuned with TRADES (arXiv 1901.08573): L2 {config.eps:g}, beta {config.beta:g}, "
            f"{config.inner_steps} inner steps. It replaces the classifier; nothing is purified.",
            metrics={"validation accuracy": right},
            finding=f"Accuracy on the first {training.measured} validation images, not trained on: {right:.2%}",
            seconds=seconds,
            use=(f"classifier.name={config.classifier}", *options[:1]),
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
