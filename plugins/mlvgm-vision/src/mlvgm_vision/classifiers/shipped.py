"""The classifier ``fashion-cnn``: FashionCNN with weights that ship, or the user's own."""

from __future__ import annotations

import hashlib
from importlib.resources import files
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

import mlvgm_vision
from mlvgm.errors import InputError
from mlvgm.protocols.data import DataInfo
from mlvgm_vision.classifiers.fashion_cnn import FashionCNN, fold
from mlvgm_vision.classifiers.frozen import FrozenClassifier, checked


class FashionCNNConfig(BaseModel):
    """Which weights FashionCNN uses."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weights: str = Field(
        "fashion-mnist",
        description="name of weights that ship, or path of a file `mlvgm train classifier fashion-cnn` made",
    )


def fashion_cnn(config: FashionCNNConfig, *, data: DataInfo) -> FrozenClassifier:
    """Factory of the classifier ``fashion-cnn``.

    Raises:
        InputError: the weights are missing, corrupt or of another network.
        ConfigError: they are for another number of classes than ``data`` has.
    """
    try:
        network = FashionCNN.from_tensors(read_weights(config.weights))
    except (KeyError, IndexError, RuntimeError) as error:
        raise InputError(
            f"expected weights of fashion-cnn, {config.weights} has others: {error}",
            hint="make weights with `mlvgm train classifier fashion-cnn`",
        ) from error
    classifier = FrozenClassifier(fold(network.eval()), classes=network.classes)
    return checked(classifier, data, name="fashion-cnn")


def read_weights(name: str) -> dict[str, Tensor]:
    """The tensors of shipped weights, verified by their sha256, or of a safetensors file.

    Raises:
        InputError: no such weights, or the file is corrupt.
    """
    shipped = next((weights for weights in mlvgm_vision.fashion_cnn.weights if weights.name == name), None)
    if shipped is None:
        file, expected = Path(name), None
    else:
        package, _, resource = shipped.file.partition(":")
        file, expected = Path(str(files(package))) / resource, shipped.sha256
    try:
        content = file.read_bytes()
    except OSError as error:
        known = ", ".join(weights.name for weights in mlvgm_vision.fashion_cnn.weights)
        raise InputError(
            f"expected weights of fashion-cnn, {file} does not read: {error}", hint=f"a path, or one of: {known}"
        ) from error
    hint = "install mlvgm-vision again" if shipped else "make weights with `mlvgm train classifier fashion-cnn`"
    if expected is not None and hashlib.sha256(content).hexdigest() != expected:
        raise InputError(f"weights {file} are corrupt: their sha256 is not {expected}", hint=hint)
    try:
        return load(content)
    except SafetensorError as error:
        raise InputError(f"expected a safetensors file, {file} is corrupt: {error}", hint=hint) from error
