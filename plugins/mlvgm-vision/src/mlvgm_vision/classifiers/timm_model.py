"""Any image classifier of timm, ``timm:NAME``, with its normalisation and resizing inside."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import timm
from safetensors import SafetensorError
from timm.data.config import resolve_model_data_config
from torch import nn

from mlvgm.errors import ConfigError, InputError, unknown
from mlvgm.protocols.data import DataInfo
from mlvgm_vision.classifiers.config import TimmConfig
from mlvgm_vision.classifiers.frozen import FrozenClassifier, checked


def timm_classifier(config: TimmConfig, *, data: DataInfo) -> FrozenClassifier:
    """Factory of the classifier ``timm``. Images are resized whole, without the centre crop of timm's evaluation.

    Raises:
        ConfigError: timm has no such model, or it gives another number of classes than ``data`` has.
        InputError: its weights cannot be had, or the checkpoint does not fit.
    """
    network = _network(config, classes=config.num_classes or data.classes)
    own: dict[str, Any] = resolve_model_data_config(network)  # type: ignore[no-untyped-call]
    classifier = FrozenClassifier(
        network,
        classes=data.classes,
        size=config.size or own["input_size"][1:],
        channels=own["input_size"][0],
        mean=config.mean or own["mean"],
        std=config.std or own["std"],
        name=f"classifier timm:{config.model}",
    )
    return checked(classifier, data)


def _network(config: TimmConfig, *, classes: int) -> nn.Module:
    if "/" not in config.model and not timm.is_model(config.model):  # a name with a slash is a hub repository
        raise unknown("timm model", config.model, timm.list_models())
    if config.checkpoint is not None:
        return _load(timm.create_model(config.model, num_classes=classes), config.checkpoint)
    if not config.pretrained:
        return timm.create_model(config.model, num_classes=classes)
    try:
        network = timm.create_model(config.model, pretrained=True)
    except (OSError, RuntimeError) as error:
        raise InputError(
            f"the published weights of timm:{config.model} are not on this computer and could not be fetched: "
            f"{str(error).splitlines()[0]}",
            hint="connect once, or give a file with --set classifier.checkpoint=FILE",
        ) from error
    if config.num_classes not in (None, network.num_classes):
        raise ConfigError(
            f"the published weights of timm:{config.model} have {network.num_classes} classes, "
            f"not {config.num_classes}",
            hint="give a fine-tuned checkpoint; a new head would be random",
        )
    return network


def _load(network: nn.Module, checkpoint: Path) -> nn.Module:
    try:
        timm.models.load_checkpoint(network, str(checkpoint), weights_only=True)
    except (OSError, RuntimeError, KeyError, EOFError, pickle.UnpicklingError, SafetensorError) as error:
        raise InputError(
            f"checkpoint {checkpoint} does not load: {str(error).splitlines()[0]}",
            hint="expected the state dict of this model; check classifier.model and classifier.num_classes",
        ) from error
    return network
