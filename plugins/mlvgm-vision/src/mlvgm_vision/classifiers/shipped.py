"""The classifier ``fashion-cnn``: FashionCNN with weights that ship, or the user's own."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

import mlvgm_vision
from mlvgm.errors import InputError
from mlvgm.protocols.data import DataInfo
from mlvgm.weights.container import Container, Converted, tensors_of
from mlvgm.weights.load import load_weights
from mlvgm_vision.classifiers.config import FashionCNNConfig
from mlvgm_vision.classifiers.fashion_cnn import FashionCNN, fold
from mlvgm_vision.classifiers.frozen import FrozenClassifier, checked


def fashion_cnn(config: FashionCNNConfig, *, data: DataInfo) -> FrozenClassifier:
    """Factory of the classifier ``fashion-cnn``.

    Raises:
        InputError: the weights are missing, corrupt or of another network.
        ConfigError: they are for another number of classes than ``data`` has.
    """
    names = [weights.name for weights in mlvgm_vision.fashion_cnn.weights]
    name = config.weights or (data.name if data.name in names else names[0])
    try:
        network = FashionCNN.from_tensors(read_weights(name))
    except (KeyError, IndexError, RuntimeError) as error:
        raise InputError(
            f"expected weights of fashion-cnn, {name} has others: {error}",
            hint="make weights with `mlvgm train classifier fashion-cnn`",
        ) from error
    classifier = FrozenClassifier(fold(network.eval()), classes=network.classes, name="classifier fashion-cnn")
    return checked(classifier, data)


def read_weights(name: str) -> Mapping[str, Tensor]:
    """The tensors of shipped weights, verified by their sha256, or of a file with a state dict.

    Raises:
        InputError: no such weights, or the file is corrupt.
    """
    return load_weights(name, shipped=mlvgm_vision.fashion_cnn.weights, formats=(), convert=_state_dict).tensors


def _state_dict(container: Container) -> Converted:
    return Converted("", "", tensors_of(container.content), "state dict")
