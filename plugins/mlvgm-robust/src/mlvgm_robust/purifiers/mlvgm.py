"""Purification with a multiple latent variable generative model (arXiv 2412.03453, section 3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from mlvgm.errors import ConfigError
from mlvgm.foreign.given import check_batch
from mlvgm.noise import Keys, Noise
from mlvgm.protocols.generator import Encodes
from mlvgm_robust.purifiers import schedules
from mlvgm_robust.purifiers.blur import gaussian_blur
from mlvgm_robust.purifiers.config import MlvgmConfig
from mlvgm_robust.purifiers.noise import ImageNoise, add_noise
from mlvgm_robust.purifiers.none import draws_per_image

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from mlvgm.protocols.generator import Encoding


@dataclass(frozen=True)
class PurificationNoise:
    """Directions of the image noise and base noise of the latents, one row a purification."""

    image: ImageNoise
    latents: Noise

    def __len__(self) -> int:
        return len(self.image)

    def __getitem__(self, index: Any) -> Self:
        return replace(self, image=self.image[index], latents=self.latents[index])


@dataclass(frozen=True)
class MlvgmPurifier:
    """Blur, add noise, encode, blend each latent with a draw from its prior, decode.

    Args:
        generator: has :class:`~mlvgm.protocols.generator.Encodes`.
        alphas: share of the prior's draw in each latent, coarse → fine.
        blur: sigma of the blur in pixels, 0 is off.
        blur_kernel: side of the blur's kernel, None reaches four sigma.
        noise: L2 norm of the image noise, 0 is off (and then the images are not clamped).
    """

    generator: Any
    alphas: tuple[float, ...]
    blur: float = 0.0
    blur_kernel: int | None = None
    noise_norm: float = 0.0

    @property
    def differentiable(self) -> bool:
        return getattr(self.generator, "differentiable", True)

    @property
    def stochastic(self) -> bool:
        return self.noise_norm > 0 or any(alpha > 0 for alpha in self.alphas) or bool(self.generator.nuisances)

    def to(self, device: torch.device | str) -> Self:
        return replace(self, generator=self.generator.to(device))

    def with_alphas(self, alphas: Sequence[float]) -> Self:
        """See :class:`mlvgm_robust.purifiers.has_alphas.HasAlphas`."""
        if len(alphas) != len(self.alphas):
            raise ConfigError(f"{len(alphas)} alphas for a generator with {len(self.alphas)} latents")
        return replace(self, alphas=tuple(alphas))

    def noise(self, keys: Keys) -> PurificationNoise:
        return PurificationNoise(ImageNoise(keys), self.generator.draw_noise(keys, tied=False))

    def purify(self, images: Tensor, noise: PurificationNoise) -> Tensor:
        """Purified images, not clamped; see :class:`mlvgm.protocols.purifier.Purifier`.

        Without image noise the encoder runs once an image, and ``blend`` expands to the draws as late as it can.

        Raises:
            InputError: the images are not of the encoder's shape.
        """
        encoding = self.encode(images, noise)
        purified: Tensor = self.generator.blend(encoding, noise.latents, self.alphas).images
        return purified

    def encode(self, images: Tensor, noise: PurificationNoise) -> Encoding:
        """What the encoder makes of the images after blur and image noise.

        Returns:
            one row an image where there is no image noise, else one a draw, image-major.

        Raises:
            InputError: the images are not of the encoder's shape.
        """
        check_batch(images, what="images for the generator", spec=self.generator.encoder_image)
        draws = draws_per_image(images, len(noise))
        blurred = gaussian_blur(images, self.blur, self.blur_kernel)
        if self.noise_norm > 0:
            blurred = blurred.repeat_interleave(draws, 0)
            blurred = add_noise(blurred, noise.image.directions(blurred), self.noise_norm)
        encoding: Encoding = self.generator.encode(blurred)
        return encoding


def build(config: MlvgmConfig, *, generator: Any) -> MlvgmPurifier:
    """The purifier of ``config`` around ``generator``.

    Raises:
        ConfigError: there is no generator, it cannot encode, or the alphas do not fit its latents.
    """
    if not isinstance(generator, Encodes):
        raise ConfigError(
            f"purifier 'mlvgm' needs a generator that encodes images, came {type(generator).__name__}",
            hint="choose one with --generator, for instance nvae, or find latents with --encoder inversion",
        )
    latents = generator.latents  # type: ignore[attr-defined]
    return MlvgmPurifier(
        generator,
        schedules.resolve(config.alphas, len(latents), attenuation=config.attenuation),
        blur=config.blur,
        blur_kernel=config.blur_kernel,
        noise_norm=config.noise,
    )
