"""StyleGAN2 as a multi-latent generator: latents are the styles w_i, mapped from base noise z."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Literal, Self

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from mlvgm.errors import ConfigError, InputError, unknown
from mlvgm.given import check_batch, check_keys, check_latents, check_noise
from mlvgm.latents import Blended, ImageSpec, Latents, LatentSpec
from mlvgm.noise import Keys, Noise, normal, uniform
from mlvgm.protocols.generator import NuisanceSpec
from mlvgm.rows import check_blend, expanded, mixed
from mlvgm_stylegan.encoders.encoder import Codes, StyleEncoder
from mlvgm_stylegan.stylegan2.network import StyleGAN2
from mlvgm_stylegan.stylegan2.synthesis import NoiseImages

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


class StyleGAN2Generator:
    """A frozen :class:`~mlvgm_stylegan.stylegan2.network.StyleGAN2` behind the generator protocol.

    Args:
        model: the network; it is put into evaluation mode and its parameters are frozen.
        sampling: truncation and noise images.

    Raises:
        ConfigError: the sampling options are not of this model.

    Example:
        >>> from mlvgm_stylegan.stylegan2.architecture import light
        >>> from mlvgm_stylegan.stylegan2.network import build
        >>> generator = StyleGAN2Generator(build(light(), seed=0))
        >>> noise = generator.draw_noise(Keys.of(seed=0, purpose="example", samples=[0, 1]))
        >>> generator.generate(noise).shape
        torch.Size([2, 1, 32, 32])
    """

    family: ClassVar[str] = "stylegan2"

    def __init__(self, model: StyleGAN2, *, sampling: StyleGAN2Sampling | None = None) -> None:
        self.model = model.eval().requires_grad_(False)
        self.sampling = self._checked(sampling or StyleGAN2Sampling())

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

    @property
    def device(self) -> torch.device:
        return self.model.mapping.average.device

    def to(self, device: torch.device | str) -> Self:
        """The same generator on ``device``."""
        moved = copy.copy(self)
        moved.model = copy.deepcopy(self.model).to(device)
        return moved

    def with_sampling(self, **options: Any) -> Self:
        """The same weights with other ``psi``, ``cutoff`` or ``noise_mode``.

        Raises:
            ConfigError: another option, or a value out of range.
        """
        known = [field.name for field in fields(StyleGAN2Sampling)]
        for name in options:
            if name not in known:
                raise unknown(f"sampling option of {self.family}", name, known)
        changed = copy.copy(self)
        changed.sampling = self._checked(replace(self.sampling, **options))
        return changed

    def draw_noise(self, keys: Keys, *, tied: bool | None = None) -> Noise:
        """One z for all styles, or one each with ``tied=False``, and noise images if they are drawn."""
        check_keys(keys, name=self.family)
        names = [spec.name for spec in self.latents] if tied is False else ["z"]
        shape = (self.model.architecture.z_dim,)
        values = tuple(normal(keys, name, shape).to(self.device) for name in names)
        source = tuple(range(len(names))) if tied is False else (0,) * len(self.latents)
        nuisance = {spec.name: normal(keys, spec.name, spec.shape).to(self.device) for spec in self.nuisances}
        return Noise(values, source, nuisance=nuisance)

    def to_latents(self, noise: Noise) -> Latents:
        """Truncated styles; each distinct z is mapped once."""
        check_noise(noise, self.latents, self.nuisances, like=self.model.mapping.average, name=self.family)
        mapped = {i: self.model.mapping(noise.values[i], noise.condition) for i in sorted({*noise.source})}
        average, psi = self.model.mapping.average, self.sampling.psi
        truncated = {i: average + psi * (w - average) for i, w in mapped.items()} if psi != 1 else mapped
        cutoff = len(noise.source) if self.sampling.cutoff is None else self.sampling.cutoff
        values = tuple((truncated if i < cutoff else mapped)[j] for i, j in enumerate(noise.source))
        return Latents(values, condition=noise.condition, nuisance=noise.nuisance)

    def decode(self, latents: Latents) -> Tensor:
        """Images (N, C, H, W) of ``latents``."""
        check_latents(latents, self.latents, self.nuisances, like=self.model.mapping.average, name=self.family)
        return self._images(latents.values, latents)

    def generate(self, noise: Noise) -> Tensor:
        """Images of ``noise``."""
        return self.decode(self.to_latents(noise))

    def _images(self, styles: Sequence[Tensor], given: Latents) -> Tensor:
        """Images of ``styles``, of as many rows as the longest of them and of the noise images has."""
        result: Tensor = (self.model.synthesis(styles, self._noise_images(given)) + 1) / 2
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

    def _checked(self, sampling: StyleGAN2Sampling) -> StyleGAN2Sampling:
        a = self.model.architecture
        if sampling.cutoff is not None and sampling.cutoff > a.num_ws:
            raise ConfigError(f"cutoff must be at most {a.num_ws}, the number of styles, got {sampling.cutoff}")
        if sampling.noise_mode == "random" and not a.noise:
            raise ConfigError("noise_mode 'random': this model has no noise images", hint="use 'none'")
        return sampling


class ConditionalStyleGAN2(StyleGAN2Generator):
    """A class-conditional StyleGAN2: the condition enters the mapping network, so it is in the styles already."""

    @property
    def classes(self) -> int:
        return self.model.architecture.classes

    def draw_noise(self, keys: Keys, *, tied: bool | None = None) -> Noise:
        """Noise of an unconditional model, and the embedding of a random class."""
        return replace(super().draw_noise(keys, tied=tied), condition=self.draw_condition(keys))

    def draw_condition(self, keys: Keys) -> Tensor:
        """Embeddings of random classes, (len(keys), embedding_dim)."""
        return self.embed_classes((uniform(keys, "class", ()) * self.classes).long())

    def embed_classes(self, classes: Tensor) -> Tensor:
        """Embeddings of class numbers (N,), before they are normalised.

        Raises:
            InputError: a number outside 0 … classes − 1.
        """
        if classes.numel() and not 0 <= int(classes.min()) <= int(classes.max()) < self.classes:
            raise InputError(f"expected classes in 0 … {self.classes - 1}, got {classes.tolist()}")
        embed = self.model.mapping.embed
        assert embed is not None
        embedding: Tensor = embed(one_hot(classes.to(self.device), self.classes).to(embed.weight.dtype))
        return embedding


class EncodingStyleGAN2(StyleGAN2Generator):
    """A StyleGAN2 with an encoder into W+.

    Args:
        model: see :class:`StyleGAN2Generator`.
        encoder: finds the styles of images; frozen.
        sampling: see :class:`StyleGAN2Generator`; truncation acts on fresh styles, not on encoded ones.
    """

    def __init__(self, model: StyleGAN2, encoder: StyleEncoder, *, sampling: StyleGAN2Sampling | None = None) -> None:
        super().__init__(model, sampling=sampling)
        if isinstance(encoder, nn.Module):
            encoder.eval().requires_grad_(False)
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
        """Styles of images (B, \\*encoder_image.shape) in [0, 1].

        Raises:
            InputError: images of another shape.
        """
        like = self.model.mapping.average
        check_batch(images, what=f"images for {self.family}", spec=self.encoder_image, like=like)
        return Codes(self.encoder.encode(images))

    def blend(self, encoding: Codes, source: Noise | Codes, alphas: Sequence[float] | Tensor) -> Blended:
        """Mix encoded styles with those of ``source``: w_i = (1 − α_i) · code_i + α_i · w_i(noise).

        Until the first style with α > 0, or with drawn noise images, the synthesis network sees one row an image.

        Args:
            encoding: B rows.
            source: noise of B·k rows, image-major, or another encoding of B rows.
            alphas: weight of ``source`` for each style, in [0, 1], or one row of them an image.

        Raises:
            ConfigError: the number or range of ``alphas``.
            InputError: rows of ``source`` are no multiple of those of ``encoding``, or noise images are drawn and
                ``source`` is an encoding.
        """
        weights = check_blend(encoding, source, alphas, name=self.family, latents=len(self.latents))
        rows = len(source)
        fresh = self.to_latents(source) if isinstance(source, Noise) else Latents(source.values.unbind(1))
        styles = [mixed(*triple) for triple in zip(encoding.values.unbind(1), fresh.values, weights, strict=True)]
        images = self.encoder.restore(self._images(styles, fresh))
        latents = Latents(tuple(expanded(style, rows) for style in styles), nuisance=fresh.nuisance)
        return Blended(expanded(images, rows), latents)
