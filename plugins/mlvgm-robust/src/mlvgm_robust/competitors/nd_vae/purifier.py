"""The purifier ``nd-vae``: noise, then the clean image that a hierarchical VAE expects behind it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import mlvgm_robust
from mlvgm.noise import Keys, Noise, normal
from mlvgm_robust.competitors.nd_vae.config import NDVAEConfig
from mlvgm_robust.competitors.nd_vae.file import FILE
from mlvgm_robust.competitors.nd_vae.training_data import noised
from mlvgm_robust.competitors.shapes import check_shape
from mlvgm_robust.purifiers.none import draws_per_image

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from mlvgm_robust.competitors.nd_vae.network import NDVAE


@dataclass(frozen=True)
class NDVAEPurifier:
    """Add noise, encode, draw each latent from its posterior, decode to the mean of the pixels' mixture.

    Args:
        network: frozen, in evaluation mode.
        std: of the noise that is added first, in units of [0, 1] pixels.
    """

    network: NDVAE
    std: float
    stochastic: bool = True
    differentiable: bool = True

    def to(self, device: torch.device | str) -> Self:
        return replace(self, network=self.network.to(device))

    def noise(self, keys: Keys) -> Noise:
        a = self.network.architecture
        shapes = {"image": a.image, **{f"z{index}": shape for index, shape in enumerate(a.latent_shapes)}}
        values = tuple(normal(keys, name, shape) for name, shape in shapes.items())
        return Noise(values, source=tuple(range(len(values))))

    def purify(self, images: Tensor, noise: Noise) -> Tensor:
        """Purified images, not clamped; see :class:`mlvgm.protocols.purifier.Purifier`.

        The encoder reads the noise, so that nothing is shared by the draws of an image.

        Raises:
            InputError: the images are not of the network's shape, or the rows of noise no multiple of theirs.
        """
        check_shape(images, self.network.architecture.image, name="nd-vae")
        repeated = images.repeat_interleave(draws_per_image(images, len(noise)), 0)
        first, *latents = (value.to(images) for value in noise.values)
        purified: Tensor = self.network(noised(repeated, first, std=self.std), latents).pixels.mean()
        return purified


def build(config: NDVAEConfig) -> NDVAEPurifier:
    """The purifier of ``config``; it brings its own model, and needs no generator.

    Raises:
        InputError: the weights are missing, damaged or of something else.
    """
    return NDVAEPurifier(FILE.load(config.weights, shipped=mlvgm_robust.nd_vae_purifier.weights), config.std)
