"""The user's own classifier, ``import:module:attribute``."""

from __future__ import annotations

from torch import nn

from mlvgm.foreign.attribute import made
from mlvgm.protocols.data import DataInfo
from mlvgm_vision.classifiers.config import ImportedConfig
from mlvgm_vision.classifiers.frozen import FrozenClassifier, checked


def imported_classifier(config: ImportedConfig, *, data: DataInfo) -> FrozenClassifier:
    """Factory of the classifier ``import``.

    Raises:
        ConfigError: there is no such object, or it gives another number of classes than ``data`` has.
        InputError: it is no network, or it fails; see :func:`~mlvgm_vision.classifiers.frozen.checked`.
    """
    network = made(config.target, (nn.Module,), "an nn.Module")
    classifier = FrozenClassifier(
        network,
        classes=data.classes,
        size=config.size,
        channels=max(len(config.mean), len(config.std)),
        mean=config.mean,
        std=config.std,
        name=f"classifier {config.target}",
    )
    return checked(classifier, data)
