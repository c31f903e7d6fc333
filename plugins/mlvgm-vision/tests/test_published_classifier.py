"""The published classifiers: layouts of checkpoints, and the numbers of a network put together by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torchvision import models

from mlvgm.errors import ConfigError, InputError
from mlvgm.latents import ImageSpec
from mlvgm.protocols.data import DataInfo
from mlvgm_vision.classifiers.published import (
    Network,
    PublishedClassifierConfig,
    published_classifier,
    renamed,
)
from tolerance import close

DATA = DataInfo("faces", ImageSpec(3, 32, 32), ("female", "male"), "MIT", "made here")


def by_hand(make: object, *, bias: bool) -> nn.Module:
    torch.manual_seed(0)
    network = make(weights=None)
    network.fc = nn.Sequential(nn.Linear(2048, 2048, bias=bias), nn.BatchNorm1d(2048), nn.ReLU(), nn.Linear(2048, 2))
    network.fc[1].running_mean.normal_(std=0.1)
    return network.eval()


LAYOUTS = {
    "bare": lambda state: state,
    "under a key": lambda state: {"epoch": 3, "state_dict": state},
    "a module's": lambda state: {"model": {f"module.{name}": tensor for name, tensor in state.items()}},
    "a wrapper's": lambda state: {f"resnet.{name}": tensor for name, tensor in state.items()},
    "head apart": lambda state: {
        name.replace("fc.", "head.") if name.startswith("fc.") else f"backbone.{name}": tensor
        for name, tensor in state.items()
    },
}


@pytest.fixture(scope="module")
def resnet() -> nn.Module:
    with torch.random.fork_rng():
        return by_hand(models.resnet50, bias=False)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_give_the_same_logits(layout: str, resnet: nn.Module, tmp_path: Path) -> None:
    torch.save(LAYOUTS[layout](dict(resnet.state_dict())), tmp_path / "gender.pt")
    config = PublishedClassifierConfig(architecture="resnet50", weights=str(tmp_path / "gender.pt"))
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected: Tensor = resnet((images - 0.5) / 0.5)
        found = published_classifier(config, data=DATA)(images)
    close(found, expected)


def test_slips_are_one_sentence(resnet: nn.Module, tmp_path: Path) -> None:
    path = tmp_path / "gender.pt"
    torch.save(dict(resnet.state_dict()), path)
    three = DataInfo("cars", ImageSpec(3, 32, 32), ("a", "b", "c"), "MIT", "made here")
    with pytest.raises(ConfigError, match="gives 2 classes"):
        published_classifier(PublishedClassifierConfig(architecture="resnet50", weights=str(path)), data=three)
    with pytest.raises(InputError, match="do not fit"):  # ResNeXt's groups have other shapes
        published_classifier(PublishedClassifierConfig(architecture="resnext50", weights=str(path)), data=DATA)
    with pytest.raises(InputError, match="no vgg11-bn trunk"):
        published_classifier(PublishedClassifierConfig(architecture="vgg11-bn", weights=str(path)), data=DATA)
    torch.save({name: t for name, t in resnet.state_dict().items() if not name.startswith("fc.1")}, path)
    with pytest.raises(InputError, match="expected a head"):
        published_classifier(PublishedClassifierConfig(architecture="resnet50", weights=str(path)), data=DATA)


@pytest.mark.parametrize(("architecture", "width"), [("vgg11-bn", 25088), ("resnext50", 2048)])
def test_heads_are_as_wide_as_published(architecture: str, width: int) -> None:
    with torch.device("meta"):  # the first layer of VGG's alone has 629 million numbers
        network = Network(architecture, classes=100, bias=False)
        logits = network.eval()(torch.empty(1, 3, 64, 64))
    assert tuple(network.head[0].weight.shape) == (width, width)
    assert logits.shape == (1, 100)
    state = {name.removeprefix("trunk.").replace("head.", "classifier."): t for name, t in network.state_dict().items()}
    assert renamed(state, architecture, Path("x")).keys() == network.state_dict().keys()
