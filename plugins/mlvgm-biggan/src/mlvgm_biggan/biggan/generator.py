"""BigGAN as a multi-latent generator: the latents are the chunks of z, and base noise is the latents."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from mlvgm.errors import ConfigError
from mlvgm.generators import EncodingGenerator
from mlvgm.latents import ImageSpec, Latents, LatentSpec
from mlvgm.noise import Noise
from mlvgm.truncation import truncate, untruncate
from mlvgm_biggan.biggan.network import BigGAN
from mlvgm_biggan.encoder.encoder import LatentEncoder
from mlvgm_biggan.generator import ClassConditionalGenerator, LabelSampling


@dataclass(frozen=True)
class BigGANSampling(LabelSampling):
    """Options of sampling.

    Args:
        truncation: |z| ≤ truncation, by a map of the noise; None draws from the whole normal distribution.
        label: class of every draw; None draws a class for each.
    """

    truncation: float | None = None

    def __post_init__(self) -> None:
        if self.truncation is not None and not self.truncation > 0:
            raise ConfigError(f"truncation must be positive, got {self.truncation}", hint="None switches it off")


class BigGANGenerator(ClassConditionalGenerator[BigGAN, BigGANSampling]):
    """A frozen :class:`~mlvgm_biggan.biggan.network.BigGAN` behind the generator and inverse protocols.

    Without hierarchical z there is one latent, the whole z.

    Args:
        model: without spectral norm.
        sampling: truncation and class; by default the class that the weights are bound to, if they are.

    Example:
        >>> from mlvgm.noise import Keys
        >>> from mlvgm_biggan.biggan.architecture import light
        >>> from mlvgm_biggan.biggan.network import build
        >>> generator = BigGANGenerator(build(light(), seed=0))
        >>> noise = generator.draw_noise(Keys.of(seed=0, purpose="example", samples=[0, 1]))
        >>> generator.generate(noise).shape
        torch.Size([2, 1, 32, 32])
    """

    def _ordinary(self) -> BigGANSampling:
        return BigGANSampling(label=self.model.architecture.label)

    @property
    def latents(self) -> tuple[LatentSpec, ...]:
        a = self.model.architecture
        return tuple(LatentSpec(f"z{i}", (size,), (size,), resolution=a.side << i) for i, size in enumerate(a.chunks))

    @property
    def image(self) -> ImageSpec:
        return ImageSpec(*self.model.architecture.image)

    def to_latents(self, noise: Noise) -> Latents:
        """Each chunk is its noise, truncated if ``sampling`` says so."""
        self._check_noise(noise)
        values = tuple(noise.of(i) for i in range(len(self.latents)))
        if self.sampling.truncation is not None:
            values = tuple(truncate(value, self.sampling.truncation) for value in values)
        return Latents(values, condition=noise.condition, nuisance=noise.nuisance)

    def to_noise(self, latents: Latents) -> Noise:
        """The noise that ``to_latents`` turns into ``latents``.

        Raises:
            InputError: latents beyond the truncation.
        """
        self._check_latents(latents, shared=True)
        values = latents.values
        if self.sampling.truncation is not None:
            values = tuple(untruncate(value, self.sampling.truncation) for value in values)
        return Noise(values, tuple(range(len(values))), nuisance=latents.nuisance, condition=latents.condition)

    def decode(self, latents: Latents) -> Tensor:
        """Images (N, C, H, W) of ``latents``; chunks and condition may have fewer rows than the longest.

        Raises:
            InputError: ``latents`` carry no condition.
        """
        self._check_latents(latents, shared=True)
        result: Tensor = (self.model(*self._inputs(latents.values, latents.condition)) + 1) / 2
        return result


class EncodingBigGANGenerator(EncodingGenerator[BigGAN, BigGANSampling, LatentEncoder], BigGANGenerator):
    """A BigGAN with an encoder: it also reconstructs images and mixes their latents with fresh ones."""

    def _encoded(self, images: Tensor) -> Latents:
        z, condition = self.encoder.encode(images)
        return Latents(z.split(list(self.model.architecture.chunks), 1), condition)
