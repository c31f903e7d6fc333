"""Shift: truncated Gaussian noise is added to addressed latents."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mlvgm.errors import ConfigError
from mlvgm.noise import Keys, Noise
from mlvgm.perturbations.addressed import by_row, changed, fresh
from mlvgm.truncation import truncate


@dataclass(frozen=True)
class Shift:
    """e'_i = e_i + σ η, η standard normal given |η| ≤ t: the random perturbation of arXiv 2501.13718, section 4.

    The result is wider than the prior; :class:`~mlvgm.perturbations.correlate.Correlate` keeps its distribution.

    Args:
        latents: numbers of the latents.
        sigma: σ ≥ 0: a number, or one a row (N,), which may require gradients.
        truncation: t > 0 in units of σ; None adds the whole normal distribution.

    Raises:
        ConfigError: ``sigma`` or ``truncation`` is out of range.
    """

    latents: tuple[int, ...]
    sigma: float | Tensor
    truncation: float | None = None

    def __post_init__(self) -> None:
        sigma = torch.as_tensor(self.sigma).detach()
        if not bool((sigma >= 0).all()):
            raise ConfigError(f"sigma must be at least 0, got {sigma.tolist()}")
        if self.truncation is not None and not self.truncation > 0:
            raise ConfigError(f"truncation must be positive, got {self.truncation}", hint="None switches it off")

    def __call__(self, noise: Noise, keys: Keys) -> Noise:
        """See :mod:`mlvgm.perturbations`."""

        def change(name: str, value: Tensor) -> Tensor:
            drawn = fresh(keys, name, value)
            if self.truncation is not None:
                drawn = truncate(drawn, self.truncation)
            return value + by_row(self.sigma, value) * drawn

        return changed(noise, self.latents, change)
