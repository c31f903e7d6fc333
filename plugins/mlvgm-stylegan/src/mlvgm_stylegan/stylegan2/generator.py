"""StyleGAN2 as a multi-latent generator: latents are the styles w_i, mapped from base noise z."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from torch import Tensor
from torch.nn.functional import one_hot

from mlvgm.errors import ConfigError, InputError, unknown
from mlvgm.foreign.given import check_classes
from mlvgm.generators import EncodingGenerator, NetworkGenerator
from mlvgm.latents import ImageSpec, Latents, LatentSpec
from mlvgm.noise import Keys, Noise, uniform
from mlvgm.protocols.generator import NuisanceSpec
from mlvgm_stylegan.encoders.encoder import StyleEncoder
from mlvgm_stylegan.stylegan2.network import StyleGAN2
from mlvgm_stylegan.stylegan2.synthesis import NoiseImages
from mlvgm_stylegan.stylegan3.network import StyleGAN3

StyleNetwork = StyleGAN2 | StyleGAN3
NOISE_MODES = ("const", "random", "none")


@dataclass(frozen=True)
class StyleGAN2Sampling:
    """Options of sampling.

    Args:
        psi: truncation, w ↦ w̄ + psi · (w − w̄); 1 is off, 0 always gives the average style.
        cutoff: only this many coarse styles are truncated; None is all.
        noise_mode: noise images are the stored ones, drawn (they are then nuisances), or absent.
    """

    psi: float = 1.0
    cutoff: int | None = None
    noise_mode: Literal["const", "random", "none"] = "const"

    def __post_init__(self) -> None:
        if not math.isfinite(self.psi):
            raise ConfigError(f"psi must be a finite number, got {self.psi}")
        if self.cutoff is not None and self.cutoff < 0:
            raise ConfigError(f"cutoff must be a number of styles or None, got {self.cutoff}")
        if self.noise_mode not in NOISE_MODES:
            raise unknown("noise_mode", str(self.noise_mode), NOISE_MODES)


class StyleGAN2Generator(NetworkGenerator[StyleNetwork, StyleGAN2Sampling]):
    """A frozen :class:`~mlvgm_stylegan.stylegan2.network.StyleGAN2` behind the generator protocol.

    Example:
        >>> from mlvgm_stylegan.stylegan2.architecture import light
        >>> from mlvgm_stylegan.stylegan2.network import build
        >>> generator = StyleGAN2Generator(build(light(), seed=0))
        >>> noise = generator.draw_noise(Keys.of(seed=0, purpose="example", samples=[0, 1]))
        >>> generator.generate(noise).shape
        torch.Size([2, 1, 32, 32])
    """

    ties = True

    def _ordinary(self) -> StyleGAN2Sampling:
        return StyleGAN2Sampling()

    def _checked(self, sampling: StyleGAN2Sampling) -> StyleGAN2Sampling:
        a = self.model.architecture
        if sampling.cutoff is not None and sampling.cutoff > a.num_ws:
            raise ConfigError(f"cutoff must be at most {a.num_ws}, the number of styles, got {sampling.cutoff}")
        if sampling.noise_mode == "random" and not a.noise:
            raise ConfigError("noise_mode 'random': this model has no noise images", hint="use 'none'")
        return sampling

    @property
    def latents(self) -> tuple[LatentSpec, ...]:
        a = self.model.architecture
        sides = (*a.layer_resolutions, a.resolution)
        return tuple(
            LatentSpec(f"w{i}", (a.w_dim,), (a.z_dim,), resolution=side, group=f"b{side}")
            for i, side in enumerate(sides)
        )

    @property
    def image(self) -> ImageSpec:
        a = self.model.architecture
        return ImageSpec(a.image_channels, a.resolution, a.resolution)

    @property
    def nuisances(self) -> tuple[NuisanceSpec, ...]:
        if self.sampling.noise_mode != "random":
            return ()
        sides = self.model.architecture.layer_resolutions
        return tuple(NuisanceSpec(f"noise{i}", (1, side, side)) for i, side in enumerate(sides))

    def to_latents(self, noise: Noise) -> Latents:
        """Truncated styles; each distinct z is mapped once."""
        self._check_noise(noise)
        mapped = {i: self.model.mapping(noise.values[i], noise.condition) for i in sorted({*noise.source})}
        average, psi = self.model.mapping.average, self.sampling.psi
        truncated = {i: average + psi * (w - average) for i, w in mapped.items()} if psi != 1 else mapped
        cutoff = len(noise.source) if self.sampling.cutoff is None else self.sampling.cutoff
        values = tuple((truncated if i < cutoff else mapped)[j] for i, j in enumerate(noise.source))
        return Latents(values, condition=noise.condition, nuisance=noise.nuisance)

    def decode(self, latents: Latents) -> Tensor:
        """Images (N, C, H, W) of ``latents``; styles may have fewer rows than the longest of them and of the noise."""
        self._check_latents(latents, shared=True)
        result: Tensor = (self.model.synthesis(latents.values, self._noise_images(latents)) + 1) / 2
        return result

    def _noise_images(self, given: Latents) -> NoiseImages:
        if self.sampling.noise_mode != "random":
            return self.sampling.noise_mode
        names = [spec.name for spec in self.nuisances]
        missing = [name for name in names if name not in given.nuisance]
        if missing:
            message = f"noise_mode 'random' needs the nuisance {missing[0]}"
            raise InputError(message, hint="draw the noise with noise_mode 'random', or use 'const'")
        return [given.nuisance[name] for name in names]


class ConditionalStyleGAN2(StyleGAN2Generator):
    """A class-conditional StyleGAN2: the condition enters the mapping network, so it is in the styles already."""

    @property
    def classes(self) -> int:
        return self.model.architecture.classes

    def draw_condition(self, keys: Keys) -> Tensor:
        """Embeddings of random classes, (len(keys), embedding_dim)."""
        return self.embed_classes((uniform(keys, "class", ()) * self.classes).long())

    def embed_classes(self, classes: Tensor) -> Tensor:
        """Embeddings of class numbers (N,), before they are normalised.

        Raises:
            InputError: a number outside 0 … classes − 1.
        """
        embed, numbers = self.model.mapping.embed, check_classes(classes, self.classes).to(self.device)
        assert embed is not None
        embedding: Tensor = embed(one_hot(numbers, self.classes).to(embed.weight.dtype))
        return embedding


class EncodingStyleGAN2(EncodingGenerator[StyleNetwork, StyleGAN2Sampling, StyleEncoder], StyleGAN2Generator):
    """A StyleGAN2 with an encoder into W+.

    Until the first style with α > 0, or with drawn noise images, a blend's synthesis network sees one row an image.
    """

    def _encoded(self, images: Tensor) -> Latents:
        return Latents(self.encoder.encode(images).unbind(1))

    def _restored(self, images: Tensor) -> Tensor:
        return self.encoder.restore(images)
