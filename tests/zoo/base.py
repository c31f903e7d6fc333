"""What the defences of the zoo are made of."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn

from mlvgm.plugins.load import build


class Behind(nn.Module):
    """The shipped classifier behind :meth:`purify`, which does nothing here, and before :meth:`answer`, likewise."""

    def __init__(self) -> None:
        super().__init__()
        self.classifier = classifier()

    def purify(self, images: Tensor) -> Tensor:
        return images

    def answer(self, logits: Tensor) -> Tensor:
        return logits

    def forward(self, images: Tensor) -> Tensor:
        return self.answer(self.classifier(self.purify(images)))


@cache
def data() -> tuple[Tensor, Tensor]:
    """The images and labels that audits evaluate on, and no others."""
    found: tuple[Tensor, Tensor] = build("datasets", "fashion-mnist").batch("test", range(256))
    return found


@cache
def classifier(weights: str | None = None) -> nn.Module:
    """A shipped classifier (``trades`` is the robust one); its parameters are frozen, so that defences may share it."""
    options = {"weights": weights} if weights else {}
    found: nn.Module = build("classifiers", "fashion-cnn", options, data=build("datasets", "fashion-mnist").info)
    return found


def blurred(images: Tensor, side: int = 3) -> Tensor:
    return nn.functional.avg_pool2d(images, side, stride=1, padding=side // 2, count_include_pad=False)


def per_image(values: Tensor) -> Tensor:
    return values[:, None, None, None]


def nearest(images: Tensor) -> tuple[Tensor, Tensor]:
    """L2 distance to the nearest image of the evaluation, and its row."""
    known, _ = data()
    return torch.cdist(images.flatten(1), known.flatten(1).to(images)).min(1)


def one_hot(labels: Tensor, like: Tensor) -> Tensor:
    return nn.functional.one_hot(labels, 10).to(like)
