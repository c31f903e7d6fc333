"""A generator whose encoder is an optimisation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from mlvgm.errors import InputError
from mlvgm.latents import Blended, ImageSpec, Latents, LatentSpec
from mlvgm.noise import Keys, Noise
from mlvgm.protocols.generator import Conditional, MultiLatentGenerator, NuisanceSpec
from mlvgm.rows import check_blend, mixed, refreshes
from mlvgm_robust.encoders.optimise import Start, descend, starting_points


@dataclass(frozen=True)
class InvertedGenerator:
    """``generator``, with the capability :class:`~mlvgm.protocols.generator.Encodes` by optimisation.

    An encoding is the result of many steps of descent, so no useful gradient leads through it: ``differentiable`` is
    False, and what comes out of ``encode`` carries no graph.

    Args:
        generator: any generator whose latents have priors that do not depend on one another.
        steps: of the optimisation.
        rate: first step size, in standard deviations of the latents.
        regulariser: weight of the latents' squared distance from their mean.
        scales: sizes at which images are compared.
    """

    generator: MultiLatentGenerator
    steps: int = 200
    rate: float = 0.1
    regulariser: float = 1e-3
    scales: int = 3

    differentiable: ClassVar[bool] = False

    @property
    def latents(self) -> tuple[LatentSpec, ...]:
        return self.generator.latents

    @property
    def image(self) -> ImageSpec:
        return self.generator.image

    @property
    def encoder_image(self) -> ImageSpec:
        return self.image

    @property
    def sampling(self) -> Any:
        return self.generator.sampling

    @property
    def nuisances(self) -> tuple[NuisanceSpec, ...]:
        return self.generator.nuisances

    @property
    def device(self) -> torch.device:
        return self.generator.device

    def to(self, device: torch.device | str) -> Self:
        return replace(self, generator=self.generator.to(device))

    def with_sampling(self, **options: Any) -> Self:
        return replace(self, generator=self.generator.with_sampling(**options))

    def draw_noise(self, keys: Keys, *, tied: bool | None = None) -> Noise:
        return self.generator.draw_noise(keys, tied=tied)

    def to_latents(self, noise: Noise) -> Latents:
        return self.generator.to_latents(noise)

    def decode(self, latents: Latents) -> Tensor:
        return self.generator.decode(latents)

    def generate(self, noise: Noise) -> Tensor:
        return self.generator.generate(noise)

    @cached_property
    def start(self) -> Start:
        """Where every descent begins; computed once."""
        with torch.inference_mode(False), torch.no_grad():
            return starting_points(self.generator)

    def encode(self, images: Tensor) -> Latents:
        """Latents whose images are near ``images``, (B, \\*image.shape); see :func:`~.optimise.descend`.

        Works under ``torch.no_grad`` too. An image's result depends on the image alone, up to rounding.
        """
        with torch.inference_mode(False), torch.enable_grad():
            return descend(
                self.generator,
                images.detach().clone(),
                self.start,
                steps=self.steps,
                rate=self.rate,
                regulariser=self.regulariser,
                scales=self.scales,
            )

    def blend(self, encoding: Latents, source: Noise | Latents, alphas: Sequence[float] | Tensor) -> Blended:
        """z_i = (1 − α_i) · found_i + α_i · prior_i(noise_i); see :class:`mlvgm.protocols.generator.Encodes`.

        One row an image is decoded where all α are 0 and no nuisance is on, else one a draw.
        """
        weights = check_blend(encoding, source, alphas, name="inversion", latents=len(self.latents))
        draws = len(source) // len(encoding)
        if isinstance(source, Noise):
            if not any(map(refreshes, weights)) and not self.nuisances:
                images = self.decode(encoding).repeat_interleave(draws, 0)
                return Blended(images, encoding.repeat(draws))
            encoding = encoding.repeat(draws)
            fresh = self.to_latents(replace(source, condition=encoding.condition))
        elif self.nuisances:
            raise InputError(
                f"nuisances {[spec.name for spec in self.nuisances]} are on, and a second encoding has none",
                hint="switch them off with with_sampling",
            )
        else:
            fresh = source
        values = tuple(mixed(*parts) for parts in zip(encoding.values, fresh.values, weights, strict=True))
        latents = Latents(values, encoding.condition, fresh.nuisance)
        return Blended(self.decode(latents), latents)


@dataclass(frozen=True)
class InvertedConditional(InvertedGenerator):
    """The same around a class-conditional generator: descent begins at the nearest class and moves its embedding."""

    @property
    def _conditional(self) -> Conditional:
        assert isinstance(self.generator, Conditional)
        return self.generator

    @property
    def classes(self) -> int:
        return self._conditional.classes

    def draw_condition(self, keys: Keys) -> Tensor:
        return self._conditional.draw_condition(keys)

    def embed_classes(self, classes: Tensor) -> Tensor:
        return self._conditional.embed_classes(classes)
