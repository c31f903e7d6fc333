"""BigGAN as a multi-latent generator: the latents are the chunks of z, and base noise is the latents."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from mlvgm.errors import ConfigError
from mlvgm.given import check_batch
from mlvgm.latents import Blended, ImageSpec, Latents, LatentSpec
from mlvgm.noise import Noise
from mlvgm.rows import check_blend, expanded, mixed
from mlvgm.truncation import truncate, untruncate
from mlvgm_biggan.biggan.network import BigGAN
from mlvgm_biggan.encoder.encoder import Codes, LatentEncoder
from mlvgm_biggan.generator import ClassConditionalGenerator


@dataclass(frozen=True)
class BigGANSampling:
    """Options of sampling.

    Args:
        truncation: |z| ≤ truncation, by a map of the noise; None draws from the whole normal distribution.
        label: class of every draw; None draws a class for each.
    """

    truncation: float | None = None
    label: int | None = None

    def __post_init__(self) -> None:
        if self.truncation is not None and not self.truncation > 0:
            raise ConfigError(f"truncation must be positive, got {self.truncation}", hint="None switches it off")


class BigGANGenerator(ClassConditionalGenerator):
    """A frozen :class:`~mlvgm_biggan.biggan.network.BigGAN` behind the generator and inverse protocols.

    Without hierarchical z there is one latent, the whole z.

    Args:
        network: without spectral norm.
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

    name = "biggan"
    ties = False
    network: BigGAN
    sampling: BigGANSampling

    def __init__(self, network: BigGAN, *, sampling: BigGANSampling | None = None) -> None:
        super().__init__(network, sampling=sampling or BigGANSampling(label=network.architecture.label))

    @property
    def latents(self) -> tuple[LatentSpec, ...]:
        a = self.network.architecture
        return tuple(LatentSpec(f"z{i}", (size,), (size,), resolution=a.side << i) for i, size in enumerate(a.chunks))

    @property
    def image(self) -> ImageSpec:
        return ImageSpec(*self.network.architecture.image)

    def to_latents(self, noise: Noise) -> Latents:
        """Each chunk is its noise, truncated if ``sampling`` says so."""
        self._check(noise)
        values = tuple(noise.of(i) for i in range(len(self.latents)))
        if self.sampling.truncation is not None:
            values = tuple(truncate(value, self.sampling.truncation) for value in values)
        return Latents(values, condition=noise.condition, nuisance=noise.nuisance)

    def to_noise(self, latents: Latents) -> Noise:
        """The noise that ``to_latents`` turns into ``latents``.

        Raises:
            InputError: latents beyond the truncation.
        """
        self._check_latents(latents)
        values = latents.values
        if self.sampling.truncation is not None:
            values = tuple(untruncate(value, self.sampling.truncation) for value in values)
        return Noise(values, tuple(range(len(values))), nuisance=latents.nuisance, condition=latents.condition)

    def decode(self, latents: Latents) -> Tensor:
        """Images (N, C, H, W) of ``latents``; chunks and condition may have fewer rows than the longest.

        Raises:
            InputError: ``latents`` carry no condition.
        """
        self._check_latents(latents)
        result: Tensor = (self.network(*self._inputs(latents.values, latents.condition)) + 1) / 2
        return result


class EncodingBigGANGenerator(BigGANGenerator):
    """A BigGAN with an encoder: it also reconstructs images and mixes their latents with fresh ones.

    Args:
        network: without spectral norm.
        encoder: takes the images that ``network`` makes.
        sampling: truncation and class of draws; the class of a blend is the encoder's.
    """

    def __init__(self, network: BigGAN, encoder: LatentEncoder, *, sampling: BigGANSampling | None = None) -> None:
        super().__init__(network, sampling=sampling)
        self.encoder = encoder

    @property
    def encoder_image(self) -> ImageSpec:
        return self.encoder.image

    def to(self, device: torch.device | str) -> Self:
        """The same generator and encoder on ``device``."""
        moved = super().to(device)
        moved.encoder = copy.deepcopy(self.encoder).to(device)
        return moved

    def encode(self, images: Tensor) -> Codes:
        """Chunks of z and class embedding of images (B, C, H, W) in [0, 1].

        Raises:
            InputError: images of another shape.
        """
        like = self.network.embedding.weight
        check_batch(images, what=f"images for {self.name}", spec=self.encoder_image, like=like)
        z, condition = self.encoder.encode(images)
        return Codes(z.split(list(self.network.architecture.chunks), 1), condition)

    def blend(self, encoding: Codes, source: Noise | Codes, alphas: Sequence[float] | Tensor) -> Blended:
        """Mix encoded chunks with those of ``source`` (arXiv 2412.03453, section 3.2); the class stays the encoding's.

        Args:
            encoding: B rows.
            source: noise of B·k rows, image-major, or another encoding of B rows.
            alphas: weight of ``source`` for each latent, in [0, 1], or one row of them an image.

        Raises:
            ConfigError: the number or range of ``alphas``.
            InputError: rows of ``source`` are no multiple of those of ``encoding``.
        """
        weights = check_blend(encoding, source, alphas, name=self.name, latents=len(self.latents))
        fresh = self.to_latents(source).values if isinstance(source, Noise) else source.values
        values = [mixed(*parts) for parts in zip(encoding.values, fresh, weights, strict=True)]
        latents = Latents(tuple(values), condition=encoding.condition)
        rows = len(source)
        images = expanded(self.decode(latents), rows)
        widened = tuple(expanded(value, rows) for value in values)
        return Blended(images, replace(latents, values=widened, condition=expanded(encoding.condition, rows)))
