"""BigGAN-deep as a multi-latent generator: each block's latent is a z, and ordinary sampling gives all the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from mlvgm.errors import ConfigError, unknown
from mlvgm.latents import ImageSpec, Latents, LatentSpec
from mlvgm.noise import Noise
from mlvgm.truncation import truncate, untruncate
from mlvgm_biggan.deep.network import BigGANDeep
from mlvgm_biggan.generator import ClassConditionalGenerator, LabelSampling

# Published samples cut the normal distribution here before they scale it.
PUBLISHED_THRESHOLD = 2.0


@dataclass(frozen=True)
class BigGANDeepSampling(LabelSampling):
    """Options of sampling.

    Args:
        truncation: in (0, 1], which batch-norm statistics are used.
        noise: z is the noise itself, or as published samples have it: ``truncation`` times the standard normal
            given |z| ≤ 2.
        label: class of every draw; None draws a class for each.
    """

    truncation: float = 1.0
    noise: Literal["normal", "truncated"] = "normal"

    def __post_init__(self) -> None:
        if not 0 < self.truncation <= 1:
            raise ConfigError(f"truncation must be in (0, 1], got {self.truncation}")
        if self.noise not in ("normal", "truncated"):
            raise unknown("noise", str(self.noise), ["normal", "truncated"])


class BigGANDeepGenerator(ClassConditionalGenerator[BigGANDeep, BigGANDeepSampling]):
    """A frozen :class:`~mlvgm_biggan.deep.network.BigGANDeep` behind the generator and inverse protocols.

    z0 makes the seed, the others enter one block each. Tied noise, the ordinary one, is a single z; untied noise gives
    every block its own, which the network was not trained with.
    """

    ties = True

    def _ordinary(self) -> BigGANDeepSampling:
        return BigGANDeepSampling()

    @property
    def latents(self) -> tuple[LatentSpec, ...]:
        a = self.model.architecture
        resolutions = [a.side, *(a.resolution(i) for i in range(a.blocks))]
        return tuple(LatentSpec(f"z{i}", (a.z,), (a.z,), resolution=side) for i, side in enumerate(resolutions))

    @property
    def image(self) -> ImageSpec:
        return ImageSpec(*self.model.architecture.image)

    def to_latents(self, noise: Noise) -> Latents:
        """Each z is the noise it reads; see :class:`BigGANDeepSampling` for ``truncated``."""
        self._check_noise(noise)
        made = tuple(noise.values)
        if self.sampling.noise == "truncated":
            made = tuple(self.sampling.truncation * truncate(value, PUBLISHED_THRESHOLD) for value in made)
        return Latents(tuple(made[i] for i in noise.source), condition=noise.condition, nuisance=noise.nuisance)

    def to_noise(self, latents: Latents) -> Noise:
        """The noise that ``to_latents`` turns into ``latents``, one for each block.

        Raises:
            InputError: latents that truncated noise does not reach.
        """
        self._check_latents(latents, shared=True)
        values = latents.values
        if self.sampling.noise == "truncated":
            values = tuple(untruncate(value / self.sampling.truncation, PUBLISHED_THRESHOLD) for value in values)
        return Noise(values, tuple(range(len(values))), nuisance=latents.nuisance, condition=latents.condition)

    def decode(self, latents: Latents) -> Tensor:
        """Images (N, C, H, W) of ``latents``.

        Raises:
            InputError: ``latents`` carry no condition.
        """
        self._check_latents(latents, shared=True)
        values, condition = self._inputs(latents.values, latents.condition)
        result: Tensor = (self.model(values, condition, truncation=self.sampling.truncation) + 1) / 2
        return result
