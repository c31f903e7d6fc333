"""Purifiers that replace a share of each latent: what choosing alphas, latent attacks and audits ask of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, Self, runtime_checkable

from mlvgm.protocols.purifier import Purifier

if TYPE_CHECKING:
    from torch import Tensor

    from mlvgm.protocols.generator import Encoding


@runtime_checkable
class HasAlphas(Purifier, Protocol):
    """A purifier that encodes an image, blends each latent with a draw from its prior, and decodes.

    ``purify(images, noise)`` is ``generator.blend(encode(images, noise), noise.latents, alphas).images``, and neither
    the encoding nor the noise depends on the alphas.

    Attributes:
        generator: has :class:`~mlvgm.protocols.generator.Encodes`.
        alphas: share of the prior's draw in each latent, in [0, 1], coarse → fine.
    """

    @property
    def generator(self) -> Any: ...

    @property
    def alphas(self) -> tuple[float, ...]: ...

    def with_alphas(self, alphas: Sequence[float]) -> Self:
        """The same purifier with other alphas, taken as they are: whatever attenuates them has done so already.

        Raises:
            ConfigError: they are not one for each latent.
        """
        ...

    def noise(self, keys: Any) -> Any:
        """The randomness ``keys`` name; ``latents`` of it is the generator's :class:`~mlvgm.noise.Noise`."""
        ...

    def encode(self, images: Tensor, noise: Any) -> Encoding:
        """What the encoder makes of the images (B, C, H, W), one row an image or one a row of ``noise``."""
        ...
