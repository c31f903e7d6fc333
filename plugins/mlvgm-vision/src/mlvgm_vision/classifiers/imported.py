"""The user's own classifier, ``import:module:attribute``."""

from __future__ import annotations

from torch import nn

from mlvgm.attribute import import_attribute
from mlvgm.errors import InputError
from mlvgm.protocols.data import DataInfo
from mlvgm_vision.classifiers.config import ImportedConfig
from mlvgm_vision.classifiers.frozen import FrozenClassifier, checked


def imported_classifier(config: ImportedConfig, *, data: DataInfo) -> FrozenClassifier:
    """Factory of the classifier ``import``.

    Raises:
        ConfigError: there is no such object, or it gives another number of classes than ``data`` has.
        InputError: it is no network, or it fails.
    """
    network = import_attribute(config.target)
    if not isinstance(network, nn.Module):
        try:
            network = network()
        except Exception as error:  # the user's function may fail in any way
            raise InputError(
                f"{config.target} does not make a classifier: {type(error).__name__}: {error}",
                hint="it is called without arguments and returns an nn.Module",
            ) from error
    if not isinstance(network, nn.Module):
        raise InputError(
            f"expected an nn.Module from {config.target}, came {type(network).__name__}",
            hint="name a module, or a function without arguments that returns one",
        )
    channels = max(len(config.mean), len(config.std))
    classifier = FrozenClassifier(
        network, classes=data.classes, size=config.size, channels=channels, mean=config.mean, std=config.std
    )
    return checked(classifier, data, name=config.target)
