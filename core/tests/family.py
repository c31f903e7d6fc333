"""What the toy generators of ``families.py`` share: keyed weights, rows that widen late, and the common methods."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from mlvgm.errors import ConfigError, InputError, unknown
from mlvgm.latents import Blended, ImageSpec, Latents, LatentSpec
from mlvgm.noise import Keys, Noise, normal
from mlvgm.protocols.generator import NuisanceSpec


def weight(name: str, *shape: int) -> Tensor:
    return normal(Keys.of(seed=0, purpose="weights", samples=[0]), name, shape)[0] / shape[-1] ** 0.5


def linear(matrix: Tensor, x: Tensor) -> Tensor:
    """A matrix on the channels of vectors (N, C) or feature maps (N, C, H, W)."""
    return torch.einsum("oc,nc...->no...", matrix.to(x.dtype), x)


def expanded(x: Tensor, rows: int) -> Tensor:
    return x if len(x) == rows else x.repeat_interleave(rows // len(x), 0)


def aligned(*tensors: Tensor) -> list[Tensor]:
    """All with the rows of the longest, image-major."""
    return [expanded(tensor, max(map(len, tensors))) for tensor in tensors]


@dataclass(frozen=True)
class Codes:
    """An encoding: what the encoder says of each latent, and the condition it predicts."""

    values: tuple[Tensor, ...]
    condition: Tensor | None = None

    def __len__(self) -> int:
        return len(self.values[0])

    def __getitem__(self, index: Any) -> Codes:
        return self._each(lambda value: value[index])

    def repeat(self, draws: int) -> Codes:
        return self._each(lambda value: value.repeat_interleave(draws, 0))

    def to(self, device: torch.device | str) -> Codes:
        return self._each(lambda value: value.to(device))

    def _each(self, change: Callable[[Tensor], Tensor]) -> Codes:
        condition = None if self.condition is None else change(self.condition)
        return Codes(tuple(map(change, self.values)), condition)


@dataclass(frozen=True)
class NoOptions:
    """Sampling of a family without options."""


@dataclass(frozen=True)
class Family:
    """What the toys share. ``rows`` notes how many rows each latent entered with."""

    sampling: Any = NoOptions()
    rows: list[int] = field(default_factory=list)

    latents: ClassVar[tuple[LatentSpec, ...]]
    image = ImageSpec(1, 4, 4)
    encoder_image = ImageSpec(1, 4, 4)
    nuisances: ClassVar[tuple[NuisanceSpec, ...]] = ()
    ties = False
    device = torch.device("cpu")

    def to(self, device: torch.device | str) -> Self:
        return self

    def with_sampling(self, **options: Any) -> Self:
        known = list(type(self.sampling).__dataclass_fields__)
        for name in options:
            if name not in known:
                raise unknown(f"sampling option of {type(self).__name__}", name, known)
        return replace(self, sampling=replace(self.sampling, **options))

    def draw_noise(self, keys: Keys, *, tied: bool | None = None) -> Noise:
        if tied and not self.ties:
            raise ConfigError(f"{type(self).__name__} has no tied noise", hint="use tied=False")
        names = ["z"] if (self.ties if tied is None else tied) else [spec.name for spec in self.latents]
        shapes = [spec.noise_shape for spec in self.latents]
        values = tuple(normal(keys, name, shape) for name, shape in zip(names, shapes, strict=False))
        source = tuple(range(len(values))) if len(values) > 1 else (0,) * len(self.latents)
        nuisance = {spec.name: normal(keys, spec.name, spec.shape) for spec in self.nuisances}
        condition = self.draw_condition(keys) if hasattr(self, "draw_condition") else None
        return Noise(values, source, nuisance=nuisance, condition=condition)

    def to_latents(self, noise: Noise) -> Latents:
        """Each latent is the noise it reads."""
        values = tuple(noise.of(i) for i in range(len(self.latents)))
        return Latents(values, condition=noise.condition, nuisance=noise.nuisance)

    def decode(self, latents: Latents) -> Tensor:
        return self.enter(latents.values, latents)

    def generate(self, noise: Noise) -> Tensor:
        return self.decode(self.to_latents(noise))

    def enter(self, values: Sequence[Tensor], given: Latents) -> Tensor:
        """Images of ``values``, of B rows as long as they have B."""
        raise NotImplementedError

    def checked(self, encoding: Codes, source: Noise | Codes, alphas: Sequence[float]) -> None:
        if len(alphas) != len(self.latents) or not all(0 <= alpha <= 1 for alpha in alphas):
            raise ConfigError(f"expected {len(self.latents)} alphas in [0, 1], came {list(alphas)}")
        if len(encoding) == 0 or len(source) % len(encoding):
            raise InputError(f"{len(source)} rows of noise for {len(encoding)} encoded images")

    def blend(self, encoding: Codes, source: Noise | Codes, alphas: Sequence[float]) -> Blended:
        """For families whose priors do not look at coarser latents."""
        self.checked(encoding, source, alphas)
        fresh = self.to_latents(source) if isinstance(source, Noise) else Latents(source.values)
        mixed = [mix(*triple) for triple in zip(encoding.values, fresh.values, alphas, strict=True)]
        return self.blended(mixed, replace(fresh, condition=encoding.condition), len(source))

    def blended(self, mixed: Sequence[Tensor], given: Latents, rows: int) -> Blended:
        condition = None if given.condition is None else expanded(given.condition, rows)
        latents = Latents(tuple(expanded(value, rows) for value in mixed), condition, given.nuisance)
        images = adaptive_avg_pool2d(self.enter(mixed, given), self.encoder_image.shape[1:])
        return Blended(expanded(images, rows), latents)


def mix(kept: Tensor, fresh: Tensor, alpha: float) -> Tensor:
    if alpha == 0:
        return kept
    if alpha == 1:
        return fresh
    kept, fresh = aligned(kept, fresh)
    return (1 - alpha) * kept + alpha * fresh
