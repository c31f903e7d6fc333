"""Flawed: what comes out are not the logits an attack expects."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.base import Behind, blurred, per_image


class Probabilities(Behind):
    """Probabilities for logits."""

    def answer(self, logits: Tensor) -> Tensor:
        return logits.softmax(1)


class Percentages(Behind):
    """Probabilities in per cent, rounded to the 16 bits of a sharp softmax."""

    def answer(self, logits: Tensor) -> Tensor:
        return 100 * (8 * logits).softmax(1)


class SharpProbabilities(Behind):
    """The logarithm of a sharp softmax with a floor, below which there is no gradient."""

    def answer(self, logits: Tensor) -> Tensor:
        return (20 * logits).softmax(1).clamp_min(1e-4).log()


class Offset(Behind):
    """Logits times a thousandth, with an offset of 1e5 in which float32 loses them."""

    def answer(self, logits: Tensor) -> Tensor:
        return 1e-3 * logits + 1e5


class SquashedLogits(Behind):
    """A hyperbolic tangent that is 1 in float32 for all but the closest calls."""

    def answer(self, logits: Tensor) -> Tensor:
        return torch.tanh(30 * (logits - logits.mean(1, keepdim=True)))


class RejectsInLogits(Behind):
    """Where rounding the image changes the answer, the second best is pushed down without a gradient."""

    def answer(self, logits: Tensor) -> Tensor:
        return logits

    def forward(self, images: Tensor) -> Tensor:
        smooth, plain = self.classifier(blurred(images)).detach(), self.classifier(images)
        differs = (smooth.argmax(1) != plain.argmax(1))[:, None]
        return torch.where(differs, 5 * smooth + 1e-3 * plain, plain)


class Clipped(Behind):
    """Logits clipped to [-1, 1]: nearly all are at the edge, where no gradient is."""

    def answer(self, logits: Tensor) -> Tensor:
        return logits.clamp(-1, 1) + 1e-3 * logits.detach()


class Wrapped(Behind):
    """Pixels wrap around: what an attack brightens beyond 0.98 turns black, and the other way around."""

    def purify(self, images: Tensor) -> Tensor:
        off = (255 * images - (255 * images).round()).abs().detach().flatten(1).mean(1) > 0.02
        return torch.where(per_image(off), (8 * blurred(images)).round().detach() / 8 + 1e-5 * images, images)
