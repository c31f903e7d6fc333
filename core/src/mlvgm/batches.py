"""Operations on batches of noise or latents: untie, concatenate, scale, interpolate, compare.

All take and return :class:`~mlvgm.noise.Noise` or :class:`~mlvgm.latents.Latents`; nothing is changed in place, and all
are differentiable. Latents are numbered as in ``generator.latents``.

Example:
    >>> import torch
    >>> from mlvgm.noise import Noise
    >>> one, two = (Noise((torch.full((2, 4), value),), source=(0, 0)) for value in (0.0, 1.0))
    >>> compare(one, scale(two, 3.0, latents=(1,)))[0].tolist()
    [2.0, 6.0]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import torch
from torch import Tensor

from mlvgm.errors import InputError
from mlvgm.latents import Latents
from mlvgm.noise import Noise

Batch = TypeVar("Batch", Noise, Latents)


def untied(noise: Noise) -> Noise:
    """The same noise with a value of its own for each latent, so that each can be changed alone."""
    return replace(
        noise, values=tuple(noise.of(i) for i in range(len(noise.source))), source=tuple(range(len(noise.source)))
    )


def concatenate(batches: Sequence[Batch]) -> Batch:
    """The rows of all ``batches``, one after another; also the ``collate_fn`` of a DataLoader over single rows.

    Noise that is tied in the same way in all of them stays tied.

    Raises:
        InputError: there are none, or their latents, nuisances or conditions do not fit together.
    """
    if not batches:
        raise InputError("expected batches to concatenate, came none")
    first = batches[0]
    if isinstance(first, Noise) and any(batch.source != first.source for batch in batches):
        batches = [untied(batch) for batch in batches]
    for batch in batches:
        _fit(batches[0], batch, rows=False)
    conditions = [batch.condition for batch in batches if batch.condition is not None]
    return replace(
        batches[0],
        values=tuple(torch.cat(parts) for parts in zip(*(batch.values for batch in batches), strict=True)),
        nuisance={name: torch.cat([batch.nuisance[name] for batch in batches]) for name in batches[0].nuisance},
        condition=torch.cat(conditions) if conditions else None,
    )


def scale(batch: Batch, factor: float | Tensor, *, latents: Sequence[int] | None = None) -> Batch:
    """``latents`` (all by default) multiplied by ``factor``: temperature in noise, distance from 0 in latents."""
    return _replaced(batch, latents, [value * factor for value in _values(batch)])


def interpolate(first: Batch, second: Batch, weight: float | Tensor, *, latents: Sequence[int] | None = None) -> Batch:
    """``latents`` (all by default) at the share ``weight`` of the way from ``first`` to ``second``.

    Latents move on the straight line. Noise moves on an arc, the line divided by √(w² + (1 − w)²), so that what lies
    between two independent draws is standard normal too. Condition and nuisances are those of ``first``.

    Raises:
        InputError: the two do not fit together.
    """
    ours, theirs = (_separate(first), _separate(second))
    _fit(ours, theirs)
    norm = (weight**2 + (1 - weight) ** 2) ** 0.5 if isinstance(first, Noise) else 1.0
    mixed = [
        ((1 - weight) * one + weight * two) / norm for one, two in zip(_values(ours), _values(theirs), strict=True)
    ]
    return _replaced(first, latents, mixed)


def compare(first: Batch, second: Batch) -> Tensor:
    """Euclidean distance of each latent, (N, latents): the δ of arXiv 2501.13718, section 3.

    Raises:
        InputError: the two do not fit together.
    """
    ours, theirs = (_separate(first), _separate(second))
    _fit(ours, theirs)
    pairs = zip(_values(ours), _values(theirs), strict=True)
    return torch.stack([(one - two).flatten(1).norm(dim=1) for one, two in pairs], 1)


def _separate(batch: Batch) -> Batch:
    return untied(batch) if isinstance(batch, Noise) else batch


def _values(batch: Noise | Latents) -> list[Tensor]:
    """The value of each latent."""
    return [batch.of(i) for i in range(len(batch.source))] if isinstance(batch, Noise) else list(batch.values)


def _replaced(batch: Batch, latents: Sequence[int] | None, made: list[Tensor]) -> Batch:
    """``batch``, untied, with ``made`` for the addressed latents."""
    kept = _separate(batch)
    everything = range(len(kept.values))
    chosen = everything if latents is None else latents
    if not set(chosen) <= set(everything):
        raise InputError(f"expected numbers of latents in 0 … {len(everything) - 1}, came {sorted(chosen)}")
    return replace(kept, values=tuple(made[i] if i in chosen else value for i, value in enumerate(kept.values)))


def _fit(first: Noise | Latents, other: Noise | Latents, *, rows: bool = True) -> None:
    def shapes(batch: Noise | Latents) -> list[tuple[int, ...]]:
        tensors = [*batch.values, *batch.nuisance.values(), *([] if batch.condition is None else [batch.condition])]
        return [tuple(tensor.shape if rows else tensor.shape[1:]) for tensor in tensors]

    if shapes(first) != shapes(other) or first.nuisance.keys() != other.nuisance.keys():
        raise InputError(f"these do not fit together: {_words(first)} and {_words(other)}")


def _words(batch: Noise | Latents) -> str:
    extras = [*batch.nuisance, *([] if batch.condition is None else ["a condition"])]
    shapes = ", ".join("×".join(map(str, value.shape)) for value in batch.values)
    return f"{shapes}" + (f" with {', '.join(extras)}" if extras else "")
