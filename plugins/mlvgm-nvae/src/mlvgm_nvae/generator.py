"""A hierarchical VAE as a multi-latent generator: a latent is a group, base noise its standard-normal draw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from mlvgm.errors import ConfigError, InputError, unknown
from mlvgm.foreign.given import check_batch
from mlvgm.generators import NetworkGenerator
from mlvgm.latents import Blended, ImageSpec, Latents, LatentSpec
from mlvgm.noise import Keys, Noise, uniform
from mlvgm.protocols.generator import NuisanceSpec
from mlvgm.rows import check_blend, expanded, keeps, mixed, refreshes
from mlvgm_nvae.distributions import Parameters
from mlvgm_nvae.encoding import NVAEEncoding
from mlvgm_nvae.hierarchical import Group, HierarchicalVAE
from mlvgm_nvae.likelihood import UNIFORM_MARGIN


@dataclass(frozen=True)
class HierarchicalSampling:
    """Options of sampling.

    Args:
        temperature: factor on every prior standard deviation, in [0, 2]; 0 gives the prior means.
        likelihood: the image is the pixel distribution's mean, or a sample of it (its uniforms are nuisances).
    """

    temperature: float = 1.0
    likelihood: Literal["mean", "sample"] = "mean"

    def __post_init__(self) -> None:
        if not 0 <= self.temperature <= 2:
            raise ConfigError(f"temperature must be in [0, 2], got {self.temperature}")
        if self.likelihood not in ("mean", "sample"):
            raise unknown("likelihood", str(self.likelihood), ["mean", "sample"])


class HierarchicalGenerator(NetworkGenerator[HierarchicalVAE, HierarchicalSampling]):
    """A frozen hierarchical VAE (NVAE, VDVAE) behind the generator, encoder and inverse protocols.

    Example:
        >>> from mlvgm_nvae.architecture import light
        >>> from mlvgm_nvae.network import build
        >>> generator = HierarchicalGenerator(build(light(), seed=0))
        >>> noise = generator.draw_noise(Keys.of(seed=0, purpose="example", samples=[0, 1]))
        >>> generator.generate(noise).shape
        torch.Size([2, 1, 32, 32])
    """

    def _ordinary(self) -> HierarchicalSampling:
        return HierarchicalSampling()

    @property
    def latents(self) -> tuple[LatentSpec, ...]:
        a = self.model.architecture
        numbered = enumerate(zip(a.latent_shapes, a.scale_of_latent, strict=True))
        return tuple(
            LatentSpec(f"z{i}", shape, shape, resolution=shape[1], group=f"scale{scale}")
            for i, (shape, scale) in numbered
        )

    @property
    def image(self) -> ImageSpec:
        return ImageSpec(*self.model.architecture.image)

    @property
    def encoder_image(self) -> ImageSpec:
        return self.image

    @property
    def nuisances(self) -> tuple[NuisanceSpec, ...]:
        if self.sampling.likelihood == "mean":
            return ()
        channels, height, width = self.model.architecture.image
        gumbel = NuisanceSpec("gumbel", (self.model.architecture.mixtures, height, width))
        return (gumbel, NuisanceSpec("logistic", (channels, height, width)))

    def _draw_nuisances(self, keys: Keys) -> Mapping[str, Tensor]:
        return {spec.name: _inside(uniform(keys, spec.name, spec.shape)) for spec in self.nuisances}

    def to_latents(self, noise: Noise) -> Latents:
        """z_i = mu_p(z_<i) + temperature · sigma_p(z_<i) · noise_i, group by group."""
        return self._sample(noise)[0]

    def generate(self, noise: Noise) -> Tensor:
        """Images of ``noise``, in one top-down pass."""
        latents, state = self._sample(noise)
        return self._image(state, latents)

    def decode(self, latents: Latents) -> Tensor:
        """Images (N, C, H, W) of ``latents``."""
        self._check_latents(latents)
        state = self.model.decoder.start(len(latents))
        for group, latent in zip(self.model.decoder.groups, latents.values, strict=True):
            state = group.merge(group.cells(state), latent)
        return self._image(state, latents)

    def to_noise(self, latents: Latents) -> Noise:
        """The noise that ``to_latents`` turns into ``latents``.

        Raises:
            ConfigError: temperature 0, where every noise makes the same latents.
        """
        if self.sampling.temperature == 0:
            raise ConfigError("temperature 0 has no inverse", hint="use a positive temperature")
        self._check_latents(latents)
        state = self.model.decoder.start(len(latents))
        values = []
        for group, latent in zip(self.model.decoder.groups, latents.values, strict=True):
            state = group.cells(state)
            prior = group.normal(group.prior(state))
            values.append(prior.noise_of(latent, temperature=self.sampling.temperature))
            state = group.merge(state, latent)
        return Noise(tuple(values), tuple(range(len(values))), nuisance=latents.nuisance)

    def encode(self, images: Tensor) -> NVAEEncoding:
        """Encoder features of images (B, C, H, W) in [0, 1]."""
        check_batch(images, what=f"images for {self.family}", spec=self.image, like=self._weight)
        return NVAEEncoding(self.model.encode(images))

    def blend(self, encoding: NVAEEncoding, source: Noise | NVAEEncoding, alphas: Sequence[float] | Tensor) -> Blended:
        """Mix posterior means of ``encoding`` with ``source`` (arXiv 2412.03453, section 3.2).

        Flows act on the mixture.

        Args:
            encoding: B rows.
            source: noise of B·k rows, image-major, or another encoding of B rows.
            alphas: weight of ``source`` for each latent, in [0, 1], or one row of them an image.

        Raises:
            ConfigError: the number or range of ``alphas``.
            InputError: rows of ``source`` are no multiple of those of ``encoding``.
        """
        count = len(self.model.decoder.groups)
        weights = check_blend(encoding, source, alphas, name=self.family, latents=count)
        if isinstance(source, Noise):
            self._check_noise(source)
        rows, decoder = len(source), self.model.decoder
        state = decoder.start(len(encoding))
        values: list[Tensor] = []
        for i, (group, alpha) in enumerate(zip(decoder.groups, weights, strict=True)):
            state = group.cells(state)
            prior = group.prior(state)
            kept = self._from_source(encoding, i, group, state, prior) if keeps(alpha) else state
            fresh = self._from_source(source, i, group, state, prior) if refreshes(alpha) else kept
            latent = group.flow(mixed(kept, fresh, alpha))
            values.append(latent)
            state = group.merge(expanded(state, len(latent)), latent)
        nuisance = source.nuisance if isinstance(source, Noise) else {}
        latents = Latents(tuple(expanded(value, rows) for value in values), nuisance=nuisance)
        if self.sampling.likelihood == "sample":
            state = expanded(state, rows)
        return Blended(expanded(self._image(state, latents), rows), latents)

    def _from_source(
        self, source: Noise | NVAEEncoding, i: int, group: Group, state: Tensor, prior: Parameters
    ) -> Tensor:
        if isinstance(source, Noise):
            noise = source.of(i).to(state.dtype)
            fresh: Tensor = group.normal(prior).at(noise, temperature=self.sampling.temperature)
            return fresh
        other: Tensor = group.normal(group.posterior(source.features[i], state, prior)).mean
        return other

    def _sample(self, noise: Noise) -> tuple[Latents, Tensor]:
        self._check_noise(noise)
        state = self.model.decoder.start(len(noise))
        values = []
        for i, group in enumerate(self.model.decoder.groups):
            state = group.cells(state)
            value = group.normal(group.prior(state)).at(
                noise.of(i).to(state.dtype), temperature=self.sampling.temperature
            )
            values.append(value)
            state = group.merge(state, value)
        return Latents(tuple(values), nuisance=noise.nuisance), state

    def _image(self, state: Tensor, latents: Latents) -> Tensor:
        pixels = self.model.pixels(self.model.decoder.finish(state))
        if self.sampling.likelihood == "mean":
            return pixels.mean()
        try:
            return pixels.sample(latents.nuisance["gumbel"], latents.nuisance["logistic"])
        except KeyError as missing:
            message = f"sampling pixels needs the nuisance {missing}"
            raise InputError(message, hint="draw the noise with likelihood 'sample', or use 'mean'") from None


def _inside(uniforms: Tensor) -> Tensor:
    """Uniform numbers in [0, 1) squeezed to where their logarithms are finite."""
    return UNIFORM_MARGIN + (1 - 2 * UNIFORM_MARGIN) * uniforms
