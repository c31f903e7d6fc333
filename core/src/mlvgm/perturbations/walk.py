"""Walk: a learned function moves the concatenated noise of a range of latents."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from mlvgm.errors import InputError
from mlvgm.noise import Keys, Noise
from mlvgm.perturbations.addressed import exchanged, readers


@dataclass(frozen=True)
class Walk:
    """The addressed latents' distinct draws, flattened and concatenated, go through ``walker`` together.

    Deterministic: the keys are not used.

    Args:
        latents: numbers of the latents.
        walker: (N, D) → (N, D), for instance a small network near the identity (arXiv 2501.13718, section 3.2).
    """

    latents: tuple[int, ...]
    walker: Callable[[Tensor], Tensor]

    def __call__(self, noise: Noise, keys: Keys) -> Noise:
        """See :mod:`mlvgm.perturbations`.

        Raises:
            InputError: the walker returns another shape than it was given.
        """
        read = [noise.values[old] for old in readers(noise, self.latents)]
        given = torch.cat([value.flatten(1) for value in read], 1)
        moved = self.walker(given)
        if moved.shape != given.shape:
            raise InputError(f"expected {tuple(given.shape)} from the walker, came {tuple(moved.shape)}")
        parts = torch.split(moved, [value[0].numel() for value in read], 1)
        made = {
            old: part.reshape(value.shape)
            for old, part, value in zip(readers(noise, self.latents), parts, read, strict=True)
        }
        return exchanged(noise, self.latents, made)
