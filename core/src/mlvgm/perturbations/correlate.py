"""Correlate: addressed latents keep a share of what they were, and their distribution."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mlvgm.errors import ConfigError
from mlvgm.noise import Keys, Noise
from mlvgm.perturbations.addressed import by_row, changed, fresh


@dataclass(frozen=True)
class Correlate:
    """e'_i = ρ e_i + √(1 − ρ²) η with η standard normal: e'_i has the prior's distribution and correlation ρ with e_i.

    ρ = 1 changes nothing, ρ = 0 resamples.

    Args:
        latents: numbers of the latents.
        rho: ρ in [−1, 1]: a number, or one a row (N,), which may require gradients.

    Raises:
        ConfigError: ``rho`` is out of range.
    """

    latents: tuple[int, ...]
    rho: float | Tensor

    def __post_init__(self) -> None:
        rho = torch.as_tensor(self.rho).detach()
        if not bool(((rho >= -1) & (rho <= 1)).all()):
            raise ConfigError(f"rho must be in [-1, 1], got {rho.tolist()}")

    def __call__(self, noise: Noise, keys: Keys) -> Noise:
        """See :mod:`mlvgm.perturbations`."""

        def change(name: str, value: Tensor) -> Tensor:
            rho = by_row(self.rho, value)
            return rho * value + (1 - rho.square()).sqrt() * fresh(keys, name, value)

        return changed(noise, self.latents, change)
