"""Honest: what they claim may be little, but it is true."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mlvgm.plugins.load import build
from mlvgm_robust.evaluation.defence import Defence
from mlvgm_robust.purifiers.none import Identity
from zoo.base import Behind, blurred, classifier


class Undefended(Behind):
    """The bare classifier: hardly robust, and it says so."""


class Trained(Behind):
    """Adversarial training (TRADES)."""

    def forward(self, images: Tensor) -> Tensor:
        return classifier("trades")(images)


class Blur(Behind):
    """A blur with its gradient."""

    def purify(self, images: Tensor) -> Tensor:
        return blurred(images)


class Noise(Behind):
    """Fresh noise for every image from torch's generator."""

    def purify(self, images: Tensor) -> Tensor:
        return images + 0.1 * torch.randn_like(images)


class NoiseInTheBox(Behind):
    """Fresh noise, clamped to the box."""

    def purify(self, images: Tensor) -> Tensor:
        return (images + 0.2 * torch.randn_like(images)).clamp(0, 1)


class OnceACall(Behind):
    """One random shift and brightness for all images of a call."""

    def purify(self, images: Tensor) -> Tensor:
        shift = torch.randint(-1, 2, (2,)).tolist()
        return images.roll(shift, (2, 3)) + 0.05 * torch.randn(1)


class Ensemble(Behind):
    """Mean logits of the classifier, of the robust one, and of a blurred view."""

    def forward(self, images: Tensor) -> Tensor:
        return (self.classifier(images) + classifier("trades")(images) + self.classifier(blurred(images))) / 3


class Weak(Behind):
    """A classifier by mean images alone: right for two images of three."""

    def __init__(self) -> None:
        super().__init__()
        images, labels = build("datasets", "fashion-mnist").batch("test", range(1000, 2000))
        self.means = nn.Parameter(torch.stack([images[labels == label].mean(0).flatten() for label in range(10)]))

    def forward(self, images: Tensor) -> Tensor:
        return -(torch.cdist(images.flatten(1), self.means) ** 2) / 10


class Smooth(Behind):
    """A soft contrast curve before the robust classifier."""

    def forward(self, images: Tensor) -> Tensor:
        return classifier("trades")(torch.sigmoid(4 * images - 2))


class LogProbabilities(Behind):
    """Logarithms of probabilities, which are logits too."""

    def answer(self, logits: Tensor) -> Tensor:
        return logits.log_softmax(1)


class Dropout(Behind):
    """Drops a tenth of the pixels at random."""

    def forward(self, images: Tensor) -> Tensor:
        kept = torch.rand_like(images) > 0.1
        return classifier("trades")(images * kept)


class Warm(Behind):
    """Logits at a tenth of their size."""

    def answer(self, logits: Tensor) -> Tensor:
        return 0.1 * logits


def votes() -> Defence:
    """Gaussian noise and the mean logits of four draws, made of parts."""
    return Defence(classifier(), build("purifiers", "noise", {"norm": 3.0}), votes=4)


def generative() -> Defence:
    """The purifier of this framework: an NVAE that keeps some latents and resamples others."""
    generator = build("generators", "nvae")
    return Defence(classifier(), build("purifiers", "mlvgm", {}, generator=generator), votes=4)


@dataclass(frozen=True)
class Bytes(Identity):
    """Rounds to eight grey levels and says that it has no gradient."""

    differentiable: bool = False

    def purify(self, images: Tensor, noise: Any) -> Tensor:
        return super().purify((images * 8).round() / 8, noise)


def declared() -> Defence:
    """Few grey levels, declared to have no gradient, so that attacks follow BPDA."""
    return Defence(classifier(), Bytes())
