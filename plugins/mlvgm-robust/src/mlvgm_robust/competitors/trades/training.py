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
from mlvgm.protocols.train import Made
from mlvgm.tensors_file import as_bytes
from mlvgm.training.measures import accuracy
from mlvgm.training.schedule import set_rate
from mlvgm.training.session import Session
from mlvgm_robust.competitors.trades.losses import perturbed, trades_loss
from mlvgm_robust.competitors.trades.training_config import TradesConfig

if TYPE_CHECKING:
    from mlvgm.protocols.data import DataInfo

# What classifiers call the option that takes a file of weights.
_WEIGHTS_OPTIONS = ("weights", "checkpoint")


class TradesTraining:
    """``mlvgm train classifier trades``: any classifier that is a torch module, from the weights it has.

    The module is taken as it is used: batch norms that were merged into convolutions stay merged, others keep their
    statistics. What is written is the state dict of its network, for the same classifier to read.

    Raises:
        ConfigError: the classifier is no torch module.
    """

    def __init__(self, config: TradesConfig, *, session: Session) -> None:
        self.config, self.session = config, session
        self.classifier = _trainable(config, session.data.info).to(session.device)
        self.optimiser = torch.optim.AdamW(self.classifier.parameters(), weight_decay=config.weight_decay, fused=True)
        self.parts = {"classifier": self.classifier, "optimiser": self.optimiser}

    def step(self, number: int) -> Mapping[str, float]:
        config, classifier = self.config, self.classifier
        images, labels, draws = self.session.minibatch(number)
        set_rate(config.rate(number), self.optimiser)
        attacked = perturbed(classifier, images, draws, eps=config.eps, steps=config.inner_steps)
        loss = trades_loss(classifier, images, attacked, labels, beta=config.beta)
        self.session.update(self.optimiser, loss)
        return {"loss": loss.item()}

    def finish(self) -> Made:
        config, session, classifier = self.config, self.session, self.classifier
        write_bytes(session.weights, as_bytes(getattr(classifier, "network", classifier).state_dict()))
        count = min(config.evaluation_images, session.data.size("validation"))
        right = accuracy(classifier, session, "validation", count=count)
        fields = config_class(component("classifiers", config.classifier)).model_fields
        options = [f"classifier.{option}={session.weights}" for option in _WEIGHTS_OPTIONS if option in fields]
        return Made(
            title=f"{config.classifier}, TRADES",
            summary=f"Fine-tuned with TRADES (arXiv 1901.08573): L2 {config.eps:g}, beta {config.beta:g}, "
            f"{config.inner_steps} inner steps. It replaces the classifier; nothing is purified.",
            use=(f"classifier.name={config.classifier}", *options[:1]),
            metrics={"validation accuracy": right} if count else {},
            findings=[f"Accuracy on the first {count} validation images, not trained on: {right:.2%}"] if count else [],
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
