"""Frozen classifiers: any network, with its normalisation and resizing inside, checked against the data."""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mlvgm.errors import ConfigError, InputError
from mlvgm.noise import Keys, uniform
from mlvgm.protocols.data import DataInfo


class FrozenClassifier(nn.Module):
    """Images in [0, 1] → logits, in evaluation mode, with frozen parameters. Gradients reach the images.

    Args:
        network: images → logits; put into evaluation mode and frozen in place.
        classes: number of logits.
        size: (height, width) images are resized to (bilinear, antialiased); None leaves them.
        channels: of the images the network takes; grey images are repeated to three. None leaves them.
        mean: subtracted, one value for each channel or one for all.
        std: divided by, likewise.

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
    ) -> None:
        super().__init__()
        self.network = network.eval().requires_grad_(False)
        self.classes, self.size, self.channels = classes, size, channels
        self.register_buffer("mean", torch.tensor(mean)[:, None, None])
        self.register_buffer("std", torch.tensor(std)[:, None, None])

    def forward(self, images: Tensor) -> Tensor:
        if self.size is not None and images.shape[2:] != self.size:
            images = F.interpolate(images, self.size, mode="bilinear", antialias=True)
        if self.channels == 3 and images.shape[1] == 1:
            images = images.expand(-1, 3, -1, -1)
        logits: Tensor = self.network((images - self.mean) / self.std)
        return logits

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


def checked(classifier: FrozenClassifier, data: DataInfo, *, name: str) -> FrozenClassifier:
    """The same classifier, after a forward pass of four images of the shape of ``data``.

    Args:
        classifier: to be checked.
        data: what it will classify.
        name: how the user named it, for messages.

    Raises:
        ConfigError: it gives another number of classes than the data have, or probabilities instead of logits.
        InputError: it does not take such images, or answers with something that is not (B, K) finite numbers.
    """
    images = uniform(Keys.of(seed=0, purpose="check", samples=range(4)), "images", data.image.shape)
    try:
        with torch.no_grad():
            logits = classifier(images)
    except Exception as error:  # a user's own network may fail in any way
        raise InputError(
            f"classifier {name} does not take images of {data.image.channels}×{data.image.height}×{data.image.width}: "
            f"{error}",
            hint="set its size, mean and std, or choose other data",
        ) from error
    if not isinstance(logits, Tensor) or logits.ndim != 2 or len(logits) != len(images):
        came = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise InputError(f"expected logits of shape (4, classes) from classifier {name}, came {came}")
    if logits.shape[1] != data.classes:
        raise ConfigError(
            f"classifier {name} gives {logits.shape[1]} classes, data set {data.name} has {data.classes}",
            hint="choose a classifier that was trained on these classes",
        )
    if not bool(logits.isfinite().all()):
        raise InputError(f"classifier {name} gives NaN or infinite logits", hint="check its weights, mean and std")
    if bool((logits >= 0).all()) and torch.allclose(logits.sum(1), torch.ones(len(logits)), atol=1e-4):
        raise ConfigError(
            f"expected logits from classifier {name}, came probabilities (each row sums to one)",
            hint="leave out its softmax: attacks on saturated probabilities overrate robustness",
        )
    return classifier
