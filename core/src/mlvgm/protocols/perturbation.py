"""Perturbation: a function of noise that changes some of its latents."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from mlvgm.noise import Keys, Noise


@runtime_checkable
class Perturbation(Protocol):
    """Changes the latents it addresses; the elementary ones are in :mod:`mlvgm.perturbations`."""

    @property
    def latents(self) -> tuple[int, ...]:
        """Numbers of the latents that may change."""
        ...

    def __call__(self, noise: Noise, keys: Keys) -> Noise:
        """Changed noise of as many rows, differentiable in ``noise`` and in the perturbation's parameters.

        Condition and nuisances stay. Addressed latents that read one draw read one new draw; the others keep theirs.

        Args:
            noise: N rows.
            keys: of the randomness that is added, one a row, of a purpose of its own.
        """
        ...
