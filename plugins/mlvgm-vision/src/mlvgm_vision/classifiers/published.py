"""``published-classifier``: the classifiers of arXiv 2412.03453, from their own checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision import models

from mlvgm.errors import InputError
from mlvgm.protocols.data import DataInfo
from mlvgm.weights.container import Container, Converted, tensors_of
from mlvgm.weights.file import filled
from mlvgm.weights.load import load_weights
from mlvgm_vision.classifiers.config import Architecture, PublishedClassifierConfig
from mlvgm_vision.classifiers.frozen import FrozenClassifier, checked

# Where training code puts a state dict.
_KEYS = ("state_dict", "model_state_dict", "model", "network", "net", "classifier")
# A tensor only the first layer of the trunk has, by which it is found whatever stands before its name.
_FIRST: dict[Architecture, str] = {
    "resnet50": "conv1.weight",
    "vgg11-bn": "features.0.weight",
    "resnext50": "conv1.weight",
}
_SUMS = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


class Network(nn.Module):
    """A torchvision trunk and the published head: linear, batch norm, ReLU, linear.

    Args:
        architecture: of the trunk.
        classes: number of logits.
        bias: the first linear layer has one.
    """

    def __init__(self, architecture: Architecture, *, classes: int, bias: bool) -> None:
        super().__init__()
        self.trunk: nn.Module
        if architecture == "vgg11-bn":
            self.trunk, width = models.vgg11_bn(init_weights=False), 512 * 7 * 7
            self.trunk.classifier = nn.Identity()
        else:
            self.trunk = models.resnet50() if architecture == "resnet50" else models.resnext50_32x4d()
            self.trunk.fc, width = nn.Identity(), 2048
        self.head = nn.Sequential(
            nn.Linear(width, width, bias=bias), nn.BatchNorm1d(width), nn.ReLU(), nn.Linear(width, classes)
        )

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.trunk(images))
        return logits


def published_classifier(config: PublishedClassifierConfig, *, data: DataInfo) -> FrozenClassifier:
    """Factory of the classifier ``published-classifier``; images are normalised with 0.5 and 0.5.

    Raises:
        InputError: the weights are missing, damaged, hostile or of another network.
        ConfigError: they are for another number of classes than ``data`` has.
    """
    state = load_weights(config.weights, shipped=(), formats=(), convert=_state_dict).tensors
    path = Path(config.weights)
    tensors = renamed(state, config.architecture, path)
    classes, bias = len(tensors["head.3.weight"]), "head.0.bias" in tensors
    network = filled(lambda: Network(config.architecture, classes=classes, bias=bias), tensors, path)
    name = f"published-classifier {config.architecture}"
    classifier = FrozenClassifier(network, classes=classes, mean=(0.5,), std=(0.5,), name=name)
    return checked(classifier, data)


def renamed(state: Mapping[str, Tensor], architecture: Architecture, path: Path) -> dict[str, Tensor]:
    """The tensors under the names of :class:`Network`.

    The names in the authors' files are not known here. Taken are torchvision's names of the trunk behind any prefix;
    what is left over is the head, whatever it is called, in its order: linear, batch norm, linear.

    Raises:
        InputError: there is no such trunk, or the rest is no such head.
    """
    first = _FIRST[architecture]
    prefixes = [name.removesuffix(first) for name in state if name == first or name.endswith(f".{first}")]
    if not prefixes:
        raise InputError(
            f"{path}: no {architecture} trunk under torchvision's names ({first} is missing)",
            hint="rename the tensors of the state dict as torchvision has them",
        )
    prefix = min(prefixes, key=len)
    with torch.device("meta"):
        known = Network(architecture, classes=2, bias=False).trunk.state_dict()
    trunk = {f"trunk.{name}": state[prefix + name] for name in known if prefix + name in state}
    rest = {name: tensor for name, tensor in state.items() if name.removeprefix(prefix) not in known}
    return trunk | _head(rest, path)


def _head(rest: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    layers: dict[str, dict[str, Tensor]] = {}
    for name, tensor in rest.items():
        layer, _, kind = name.rpartition(".")
        layers.setdefault(layer, {})[kind] = tensor
    kinds = [set(layer) for layer in layers.values()]
    fits = len(kinds) == 3 and kinds[0] <= {"weight", "bias"} and kinds[1] == set(_SUMS)
    if not fits or kinds[2] != {"weight", "bias"} or "weight" not in kinds[0]:
        raise InputError(
            f"{path}: expected a head of linear, batch norm and linear layers behind the trunk, "
            f"found {', '.join(layers) or 'nothing'}",
            hint="choose the checkpoint of a published classifier",
        )
    places = ("head.0", "head.1", "head.3")
    named = zip(places, layers.values(), strict=True)
    return {f"{place}.{kind}": tensor for place, layer in named for kind, tensor in layer.items()}


def _state_dict(container: Container) -> Converted:
    return Converted("", "", tensors_of(container.content, *_KEYS), "state dict")
