"""Randomness as data: noise is a pure function of (seed, purpose, sample, draw, name).

The same key gives the same numbers for any batch split, order, subset and number of processes, and nothing here touches
the global random state. Numbers are drawn on the CPU, bit-identical for one machine and torch version.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class Keys:
    """Names the randomness of a batch, one (sample, draw) pair a row.

    Args:
        seed: the run's seed.
        purpose: what the randomness is for (``"attack"``, ``"score"``, …); different purposes are independent streams.
        rows: (sample id, draw index) of each row, image-major: row b·k + j is draw j of image b.

    Example:
        >>> keys = Keys.of(seed=0, purpose="score", samples=[7, 9], draws=range(2))
        >>> keys.rows
        ((7, 0), (7, 1), (9, 0), (9, 1))
        >>> normal(keys, "z0", (3,)).shape
        torch.Size([4, 3])
    """

    seed: int
    purpose: str
    rows: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, *, seed: int, purpose: str, samples: Iterable[int], draws: Iterable[int] = (0,)) -> Keys:
        """Keys of ``draws`` for each of ``samples``, image-major."""
        indices = tuple(draws)
        return cls(seed, purpose, tuple((int(sample), int(draw)) for sample in samples for draw in indices))

    @classmethod
    def fresh(cls, count: int, *, draws: int = 1) -> Keys:
        """Keys seeded from the operating system's entropy: nobody can predict or repeat their noise."""
        return cls.of(seed=secrets.randbits(63), purpose="fresh", samples=range(count), draws=range(draws))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Tensor | Sequence[int] | slice) -> Keys:
        """The keys of some rows: a slice, a list of row numbers, or a tensor (indices or boolean mask)."""
        return replace(self, rows=tuple(self.rows[i] for i in row_numbers(index, len(self))))

    def derive(self, purpose: str) -> Keys:
        """The same rows in an independent stream, ``"<purpose>/<suffix>"``."""
        return replace(self, purpose=f"{self.purpose}/{purpose}")


def row_numbers(index: Tensor | Sequence[int] | slice, length: int) -> list[int]:
    """Row numbers that ``index`` selects from ``length`` rows."""
    if isinstance(index, slice):
        return list(range(length))[index]
    tensor = torch.as_tensor(index)
    if tensor.dtype == torch.bool:
        tensor = tensor.nonzero().squeeze(1)
    return [int(i) for i in tensor]


def _generators(keys: Keys, name: str) -> Iterable[torch.Generator]:
    # One generator, reseeded: making a new one for each row costs ten times as much.
    generator = torch.Generator()
    for sample, draw in keys.rows:
        text = f"{keys.seed}|{keys.purpose}|{sample}|{draw}|{name}".encode()
        generator.manual_seed(int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little", signed=True))
        yield generator


def normal(keys: Keys, name: str, shape: Sequence[int]) -> Tensor:
    """Standard-normal numbers of ``shape`` for each row of ``keys``.

    Args:
        keys: which randomness.
        name: which variable of it (a latent's name, ``"image"``, …).
        shape: shape of one row.

    Shape:
        output: (len(keys), \\*shape), float32 on the CPU.
    """
    out = torch.empty(len(keys), *shape)
    for row, generator in zip(out, _generators(keys, name), strict=True):
        row.normal_(generator=generator)
    return out


def uniform(keys: Keys, name: str, shape: Sequence[int]) -> Tensor:
    """Uniform numbers in [0, 1) of ``shape`` for each row of ``keys``; see :func:`normal`."""
    out = torch.empty(len(keys), *shape)
    for row, generator in zip(out, _generators(keys, name), strict=True):
        row.uniform_(generator=generator)
    return out


@dataclass(frozen=True)
class Noise:
    """Base noise of a batch: distinct standard-normal draws, and which latent reads which of them.

    Tied sampling (one z for all StyleGAN layers) is one value read by every latent; untied sampling is one value each.

    Args:
        values: distinct draws, each (N, \\*noise_shape).
        source: latent i reads ``values[source[i]]``.
        nuisance: randomness that is no latent, by name (StyleGAN2's noise images, mixture uniforms); each (N, …).
        condition: condition embedding drawn with the noise, (N, …), for conditional generators; put another in its
            place with :func:`dataclasses.replace` to choose the class.
    """

    values: tuple[Tensor, ...]
    source: tuple[int, ...]
    nuisance: Mapping[str, Tensor] = field(default_factory=dict)
    condition: Tensor | None = None

    def __len__(self) -> int:
        return len(self.values[0])

    def __getitem__(self, index: Tensor | Sequence[int] | slice) -> Noise:
        """The noise of some rows."""
        return self._map(lambda value: value[index])

    def of(self, latent: int) -> Tensor:
        """Base noise that latent number ``latent`` reads, (N, \\*noise_shape)."""
        return self.values[self.source[latent]]

    def replaced(self, indices: Sequence[int], other: Noise) -> Noise:
        """This noise with the latents numbered ``indices`` reading their values from ``other`` (same batch size).

        Of tied noise this is style mixing (arXiv 1812.04948, section 3.1). Condition and nuisances have no index,
        stay.
        """
        chosen, own = set(indices), len(self.values)
        return replace(
            self,
            values=self.values + other.values,
            source=tuple(own + other.source[i] if i in chosen else source for i, source in enumerate(self.source)),
        )

    def to(self, device: torch.device | str) -> Noise:
        """The same noise on ``device``."""
        return self._map(lambda value: value.to(device))

    def _map(self, change: Callable[[Tensor], Tensor]) -> Noise:
        return replace(
            self,
            values=tuple(change(value) for value in self.values),
            nuisance={name: change(value) for name, value in self.nuisance.items()},
            condition=None if self.condition is None else change(self.condition),
        )
