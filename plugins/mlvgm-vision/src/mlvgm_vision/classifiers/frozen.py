"""Frozen classifiers: any network, with its normalisation and resizing inside, checked against the data."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mlvgm.errors import ConfigError, InputError
from mlvgm.foreign.module_classifier import ModuleClassifier
from mlvgm.foreign.others import BadAnswer
from mlvgm.noise import Keys, uniform
from mlvgm.protocols.data import DataInfo


class FrozenClassifier(ModuleClassifier):
    """Images in [0, 1] → logits, in evaluation mode, with frozen parameters. Gradients reach the images.

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
        super().__init__(network, classes=classes, name=name)
        self.size, self.channels = size, channels
        self.register_buffer("mean", torch.tensor(mean)[:, None, None])
        self.register_buffer("std", torch.tensor(std)[:, None, None])

    def forward(self, images: Tensor) -> Tensor:
        if self.size is not None and images.shape[2:] != self.size:
            images = F.interpolate(images, self.size, mode="bilinear", antialias=True)
        if self.channels == 3 and images.shape[1] == 1:
            images = images.expand(-1, 3, -1, -1)
        return super().forward((images - self.mean) / self.std)

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
        tried = classifier.try_on(images)
    except BadAnswer as error:
        hint = error.hint or "set its size, mean and std, or choose other data"
        raise InputError(error.message, hint=hint) from error
    if tried.classes != data.classes:
        raise ConfigError(
            f"{tried.name} gives {tried.classes} classes, data set {data.name} has {data.classes}",
            hint="choose a classifier that was trained on these classes",
        )
    if not tried.nature.replayable:
        raise InputError(
            f"{tried.name} draws noise that cannot be repeated, and a run repeats all of its noise",
            hint="draw it from the global generator of torch, NumPy or Python, which are seeded for it",
        )
    return tried
