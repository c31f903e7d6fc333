"""Flawed: the randomness is not what it seems."""

from __future__ import annotations

import hashlib
import random

import torch
from torch import Tensor

from zoo.base import Behind, blurred, classifier, per_image


class PrivateGenerator(Behind):
    """Noise from a generator of its own, which nobody can replay."""

    def __init__(self) -> None:
        super().__init__()
        self.generator = torch.Generator().manual_seed(7)

    def purify(self, images: Tensor) -> Tensor:
        return images + 0.3 * torch.randn(images.shape, generator=self.generator).to(images)


class PythonRandom(Behind):
    """Blurs or not by Python's random numbers, detached where it blurs."""

    def purify(self, images: Tensor) -> Tensor:
        return blurred(images).detach() + 0 * images if random.random() < 0.7 else images


class HashedNoise(Behind):
    """Noise from a hash of the image: deterministic, and another at every point."""

    def purify(self, images: Tensor) -> Tensor:
        rows = []
        for image in images:
            digest = hashlib.blake2b(image.detach().numpy().tobytes(), digest_size=7).digest()
            generator = torch.Generator().manual_seed(int.from_bytes(digest, "little"))
            rows.append(image + 0.15 * torch.randn(image.shape, generator=generator).to(image))
        return torch.stack(rows)


class QuietUnderGradients(Behind):
    """Noise only where no gradient is asked: attacks climb another function than the one that decides."""

    def purify(self, images: Tensor) -> Tensor:
        return images if torch.is_grad_enabled() else images + 0.25 * torch.randn_like(images)


class LoudUnderGradients(Behind):
    """Noise only where a gradient is asked."""

    def purify(self, images: Tensor) -> Tensor:
        return images + 2 * torch.randn_like(images) if images.requires_grad else images


class QuietAlone(Behind):
    """No noise for a batch of one, where replays look."""

    def purify(self, images: Tensor) -> Tensor:
        return images if len(images) == 1 else images + 0.3 * torch.randn_like(images)


class SwitchesPerCall(Behind):
    """Three classifiers take turns, so that no attack sees the one that judges it."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, images: Tensor) -> Tensor:
        self.calls += 1
        turn = self.calls % 3
        if turn == 0:
            return classifier("trades")(images)
        return self.classifier(images.flip(3) if turn == 1 else blurred(images))


class NoisyGradients(Behind):
    """Decisions are of the plain image; noise is in the gradient only."""

    def purify(self, images: Tensor) -> Tensor:
        noise = 3.0 * torch.randn_like(images)
        return images + (noise.detach() * (images - images.detach())) * 5


class NoisyButMasked(Behind):
    """A little noise before a blur that is cut out of the graph."""

    def purify(self, images: Tensor) -> Tensor:
        noisy = images + 0.05 * torch.randn_like(images)
        return 1e-2 * noisy + 0.99 * blurred(noisy).detach()


class NoiseBySize(Behind):
    """Noise that grows with the distance from bytes: clean images have none."""

    def purify(self, images: Tensor) -> Tensor:
        off = (255 * images - (255 * images).round()).abs().detach().flatten(1).mean(1)
        return images + 4 * per_image(off) * torch.randn_like(images)
