"""Resample: addressed latents are drawn again from the prior."""

from __future__ import annotations

from dataclasses import dataclass

from mlvgm.noise import Keys, Noise
from mlvgm.perturbations.addressed import changed, fresh


@dataclass(frozen=True)
class Resample:
    """e'_i is a fresh standard-normal draw, independent of e_i: what the latents say is forgotten.

    Args:
        latents: numbers of the latents that are drawn again.
    """

    latents: tuple[int, ...]

    def __call__(self, noise: Noise, keys: Keys) -> Noise:
        """See :mod:`mlvgm.perturbations`."""
        return changed(noise, self.latents, lambda name, value: fresh(keys, name, value))
