"""Latents of a multi-latent generator: what they are, their values, and how users address them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from mlvgm.errors import ConfigError, unknown

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True)
class LatentSpec:
    """One latent variable.

    Args:
        name: starts with a letter, unique within the generator.
        shape: shape of one latent value z_i.
        noise_shape: shape of the base noise e_i it is made from.
        resolution: side in pixels of the feature map it enters, None where that has no meaning.
        group: name of the group (scale) it belongs to, so that a whole scale can be addressed.
    """

    name: str
    shape: tuple[int, ...]
    noise_shape: tuple[int, ...]
    resolution: int | None = None
    group: str | None = None


@dataclass(frozen=True)
class ImageSpec:
    """Images a component makes or takes: float32 NCHW, nominally in [0, 1]."""

    channels: int
    height: int
    width: int

    @property
    def shape(self) -> tuple[int, int, int]:
        return (self.channels, self.height, self.width)


@dataclass(frozen=True)
class Latents:
    """Values of all latents of a batch, coarse to fine.

    Args:
        values: latent i is (N, \\*latents[i].shape).
        condition: condition embedding (N, …) for conditional generators (an embedding, so classes can be interpolated).
        nuisance: randomness that is no latent, by name; see :class:`mlvgm.noise.Noise`.
    """

    values: tuple[Tensor, ...]
    condition: Tensor | None = None
    nuisance: Mapping[str, Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.values[0])

    def __getitem__(self, index: Tensor | Sequence[int] | slice) -> Latents:
        """The latents of some rows."""
        return self._map(lambda value: value[index])

    def repeat(self, draws: int) -> Latents:
        """Each row ``draws`` times, image-major."""
        return self._map(lambda value: value.repeat_interleave(draws, 0))

    def to(self, device: torch.device | str) -> Latents:
        """The same latents on ``device``."""
        return self._map(lambda value: value.to(device))

    def _map(self, change: Callable[[Tensor], Tensor]) -> Latents:
        return Latents(
            values=tuple(change(value) for value in self.values),
            condition=None if self.condition is None else change(self.condition),
            nuisance={name: change(value) for name, value in self.nuisance.items()},
        )

    def replaced(self, indices: Sequence[int], other: Latents) -> Latents:
        """These latents with those numbered ``indices`` taken from ``other`` (same batch size).

        Condition and nuisances, which have no index, stay.
        """
        return replace(
            self, values=tuple(other.values[i] if i in set(indices) else v for i, v in enumerate(self.values))
        )


@dataclass(frozen=True)
class Blended:
    """What ``blend`` returns.

    Args:
        images: (N, \\*encoder_image.shape), not clamped.
        latents: the mixed latents that made them, with the condition and nuisances used.
    """

    images: Tensor
    latents: Latents


_RANGE = re.compile(r"(\d*)[:_](\d*)")


def select_latents(latents: Sequence[LatentSpec], address: str | int) -> tuple[int, ...]:
    """Indices of the latents that ``address`` names.

    Args:
        latents: the generator's latents, coarse to fine.
        address: a name, an index, a range with excluded end (``"4:8"``, published form ``"4_8"``), a group's name, or
            several of these joined by commas.

    Raises:
        ConfigError: nothing has that name, or the range is empty or out of bounds.

    Example:
        >>> specs = [LatentSpec(f"z{i}", (2,), (2,), group="coarse" if i < 2 else "fine") for i in range(4)]
        >>> select_latents(specs, "1:3"), select_latents(specs, "fine"), select_latents(specs, "z0,3")
        ((1, 2), (2, 3), (0, 3))
    """
    chosen: set[int] = set()
    for part in str(address).split(","):
        chosen.update(_select(latents, part.strip()))
    return tuple(sorted(chosen))


def _select(latents: Sequence[LatentSpec], part: str) -> range | list[int]:
    count = len(latents)
    named = [i for i, latent in enumerate(latents) if part in (latent.name, latent.group)]
    if named:
        return named
    if part.isdigit() and int(part) < count:
        return [int(part)]
    match = _RANGE.fullmatch(part)
    if match is None:
        raise unknown("latent", part, [latent.name for latent in latents])
    start, stop = int(match[1] or 0), int(match[2] or count)
    if not 0 <= start < stop <= count:
        raise ConfigError(f"latent range '{part}' is empty or leaves 0:{count}", hint="ranges exclude their end")
    return range(start, stop)
