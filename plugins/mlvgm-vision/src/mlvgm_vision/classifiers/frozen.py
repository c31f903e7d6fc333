"""Frozen classifiers: any network, with its normalisation and resizing inside, checked against the data."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mlvgm.attribute import evaluating
from mlvgm.errors import ConfigError, InputError
from mlvgm.nature import Nature, nature_of
from mlvgm.noise import Keys, uniform
from mlvgm.others import BadAnswer, answer
from mlvgm.protocols.data import DataInfo
from mlvgm.seeded import drawn


class FrozenClassifier(nn.Module):
    """Images in [0, 1] → logits, in evaluation mode, with frozen parameters. Gradients reach the images.

    What the network prints goes to stderr, and what it raises or answers instead of logits is one error with its name.

    Attributes:
        nature: what :func:`checked` has found out about it.

    Args:
        network: images → logits; put into evaluation mode and frozen in place.
        classes: number of logits.
        size: (height, width) images are resized to (bilinear, antialiased); None leaves them.
        channels: of the images the network takes; grey images are repeated to three. None leaves them.
        mean: subtracted, one value for each channel or one for all.
        std: divided by, likewise.
        name: how the user named it, for messages.

    Example:
        >>> from torch import nn
        >>> classifier = FrozenClassifier(nn.Flatten(), classes=4, mean=(0.5,), std=(0.5,))
        >>> classifier(torch.ones(1, 1, 2, 2))
        tensor([[1., 1., 1., 1.]])
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        network: nn.Module,
        *,
        classes: int,
        size: tuple[int, int] | None = None,
        channels: int | None = None,
        mean: tuple[float, ...] = (0.0,),
        std: tuple[float, ...] = (1.0,),
        name: str = "the classifier",
    ) -> None:
        super().__init__()
        self.network = evaluating(network, name=name)
        self.classes, self.size, self.channels, self.name = classes, size, channels, name
        self.nature = Nature(classes)
        self.register_buffer("mean", torch.tensor(mean)[:, None, None])
        self.register_buffer("std", torch.tensor(std)[:, None, None])

    def forward(self, images: Tensor) -> Tensor:
        if self.size is not None and images.shape[2:] != self.size:
            images = F.interpolate(images, self.size, mode="bilinear", antialias=True)
        if self.channels == 3 and images.shape[1] == 1:
            images = images.expand(-1, 3, -1, -1)
        return answer(self.network, (images - self.mean) / self.std, name=self.name)

    @property
    def stochastic(self) -> bool:
        return self.nature.stochastic

    @property
    def differentiable(self) -> bool:
        return self.nature.differentiable

    def draw(self, images: Tensor, keys: Keys) -> Tensor:
        """Logits of images, one row of ``keys`` each, which name the noise of a network that is random."""
        return drawn(self, images, keys, alone=self.nature.alone)

    def alone(self) -> Self:
        """The same with a call for every row, so that its noise follows its image into any batch."""
        same = copy.copy(self)
        same.nature = replace(self.nature, alone=True)
        return same

    def features(self, images: Tensor) -> Tensor:
        """What the last linear layer of the network reads: the penultimate features.

        Shape:
            (N, C, H, W) in [0, 1] → (N, D).

        Raises:
            InputError: the network has no linear layer, or does not end in one.
        """
        layers = [module for module in self.network.modules() if isinstance(module, nn.Linear)]
        read: list[Tensor] = []
        handles = [layer.register_forward_pre_hook(lambda _, inputs: read.append(inputs[0])) for layer in layers[-1:]]
        try:
            logits = self(images)
        finally:
            for handle in handles:
                handle.remove()
        if len(read) != 1 or read[0].ndim != 2 or layers[-1].out_features != logits.shape[1]:
            raise InputError(
                "features are what the last linear layer of a classifier reads, this one does not end in one",
                hint="choose another classifier",
            )
        return read[0]

    def train(self, mode: bool = True) -> Self:
        """Stays in evaluation mode, whatever a library asks for."""
        return self


def checked(classifier: FrozenClassifier, data: DataInfo) -> FrozenClassifier:
    """The same classifier with its nature, after some calls with images of the shape of ``data``.

    Args:
        classifier: to be checked.
        data: what it will classify.

    Raises:
        ConfigError: it gives another number of classes than the data have, or probabilities instead of logits.
        InputError: it does not take such images, answers with something that is not (B, K) finite numbers, is changed
            by calls, mixes the images of a batch, or draws noise that cannot be repeated.
    """
    contrast = torch.tensor([1.0, 0.8, 0.6, 0.4])[:, None, None, None]
    images = contrast * uniform(Keys.of(seed=0, purpose="check", samples=range(4)), "images", data.image.shape)
    try:
        nature = nature_of(classifier, images, name=classifier.name)
    except BadAnswer as error:
        hint = error.hint or "set its size, mean and std, or choose other data"
        raise InputError(error.message, hint=hint) from error
    if nature.classes != data.classes:
        raise ConfigError(
            f"{classifier.name} gives {nature.classes} classes, data set {data.name} has {data.classes}",
            hint="choose a classifier that was trained on these classes",
        )
    if not nature.replayable:
        raise InputError(
            f"{classifier.name} draws noise that cannot be repeated, and a run repeats all of its noise",
            hint="draw it from the global generator of torch, NumPy or Python, which are seeded for it",
        )
    classifier.nature = nature
    with torch.no_grad():
        logits = classifier.draw(images, Keys.of(seed=0, purpose="check", samples=range(4)))
    if bool((logits >= 0).all()) and torch.allclose(logits.sum(1), torch.ones(len(logits)), atol=1e-4):
        raise ConfigError(
            f"expected logits from {classifier.name}, came probabilities (each row sums to one)",
            hint="leave out its softmax: attacks on saturated probabilities overrate robustness",
        )
    return classifier
