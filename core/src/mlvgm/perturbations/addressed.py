"""The draws that addressed latents read, and noise in which others stand in their place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from mlvgm.errors import ConfigError
from mlvgm.noise import Keys, Noise, normal


def changed(noise: Noise, latents: Sequence[int], change: Callable[[str, Tensor], Tensor]) -> Noise:
    """``noise`` with ``change(name, value)`` in place of each distinct draw that one of ``latents`` reads.

    Args:
        noise: N rows.
        latents: numbers of latents.
        change: gets a name of the draw, which hangs on the first addressed latent that reads it, and the draw.

    Raises:
        ConfigError: there is no such latent.
    """
    names = readers(noise, latents)
    made = {old: change(name, noise.values[old]) for old, name in names.items()}
    return exchanged(noise, latents, made)


def readers(noise: Noise, latents: Sequence[int]) -> dict[int, str]:
    """The distinct draws that ``latents`` read, in the order of their first readers, with names for their randomness.

    Raises:
        ConfigError: there is no such latent.
    """
    count = len(noise.source)
    if not latents or any(not 0 <= latent < count for latent in latents):
        raise ConfigError(
            f"expected numbers of latents in 0 … {count - 1}, came {list(latents)}",
            hint="select_latents(generator.latents, ADDRESS) gives those of an address",
        )
    found: dict[int, str] = {}
    for latent in sorted(latents):
        found.setdefault(noise.source[latent], f"latent{latent}")
    return found


def exchanged(noise: Noise, latents: Sequence[int], made: dict[int, Tensor]) -> Noise:
    """``noise`` in which ``latents`` read ``made[old]`` for draw ``old``; draws that nobody reads any more are gone."""
    chosen = set(latents)
    wanted = [(source, i in chosen) for i, source in enumerate(noise.source)]
    order = list(dict.fromkeys(wanted))
    values = tuple(made[source] if new else noise.values[source] for source, new in order)
    return replace(noise, values=values, source=tuple(order.index(one) for one in wanted))


def fresh(keys: Keys, name: str, like: Tensor) -> Tensor:
    """Standard-normal numbers for each row of ``like``, with its shape, type and device.

    Raises:
        ConfigError: as many keys as rows are expected.
    """
    if len(keys) != len(like):
        raise ConfigError(f"expected a key for each of {len(like)} rows of noise, came {len(keys)}")
    return normal(keys, name, like.shape[1:]).to(like)


def by_row(value: float | Tensor, like: Tensor) -> Tensor:
    """A number, or one number a row (N,), in the shape that multiplies ``like`` (N, …)."""
    tensor = torch.as_tensor(value, dtype=like.dtype, device=like.device)
    return tensor.reshape(-1, *[1] * (like.ndim - 1)) if tensor.ndim == 1 else tensor
