"""The purifier ``a-vae``: what a variational auto-encoder with a styled decoder makes of a pooled image."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import mlvgm_robust
from mlvgm.noise import Keys, Noise, normal
from mlvgm_robust.competitors.a_vae.config import TEMPERATURE, AVAEConfig
from mlvgm_robust.competitors.a_vae.file import FILE
from mlvgm_robust.competitors.shapes import check_shape
from mlvgm_robust.purifiers.none import draws_per_image

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from mlvgm_robust.competitors.a_vae.network import AVAE


# Of the published test.
@dataclass(frozen=True)
class AVAEPurifier:
    """Average pooling, encode once an image, draw the latent of each purification, decode at full size.

    Args:
        network: frozen, in evaluation mode.
        temperature: factor on the posterior's standard deviations.
    """

    network: AVAE
    temperature: float = TEMPERATURE
    differentiable: bool = True

    @property
    def stochastic(self) -> bool:
        return self.temperature > 0

    def to(self, device: torch.device | str) -> Self:
        return replace(self, network=self.network.to(device))

    def noise(self, keys: Keys) -> Noise:
        return Noise((normal(keys, "latent", self.network.architecture.latent_shape),), source=(0,))

    def purify(self, images: Tensor, noise: Noise) -> Tensor:
        """Purified images, not clamped; see :class:`mlvgm.protocols.purifier.Purifier`.

        Raises:
            InputError: the images are not of the network's shape, or the rows of noise no multiple of theirs.
        """
        check_shape(images, self.network.architecture.image, name="a-vae")
        draws_per_image(images, len(noise))
        return self.network.decode(self.network.encode(images), self.temperature * noise.of(0).to(images))


def build(config: AVAEConfig) -> AVAEPurifier:
    """The purifier of ``config``; it brings its own model, and needs no generator.

    Raises:
        InputError: the weights are missing, damaged or of something else.
    """
    return AVAEPurifier(FILE.load(config.weights, shipped=mlvgm_robust.a_vae_purifier.weights), config.temperature)
