"""Normal distributions with softly clamped parameters."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from mlvgm.rows import expanded


class Parameters(NamedTuple):
    """Raw mean and log standard deviation, before the clamp; posteriors add theirs to the prior's."""

    mean: Tensor
    log_sigma: Tensor

    def plus(self, other: Parameters) -> Parameters:
        """Element-wise sum."""
        return Parameters(self.mean + other.mean, self.log_sigma + other.log_sigma)


def soft_clamp(value: Tensor) -> Tensor:
    """5 · tanh(value / 5): the identity near 0, bounded by ±5."""
    return 5 * (value / 5).tanh()


@dataclass(frozen=True)
class Normal:
    """A diagonal normal distribution, (N, C, H, W).

    Example:
        >>> import torch
        >>> wide = Normal(torch.zeros(1, 1, 1, 1), torch.ones(1, 1, 1, 1))
        >>> wide.kl(wide).item()
        0.0
    """

    mean: Tensor
    sigma: Tensor

    @classmethod
    def of(cls, parameters: Parameters, *, sigma_floor: float = 0.0) -> Normal:
        """From raw parameters: both softly clamped, sigma = exp(·) + floor."""
        sigma = soft_clamp(parameters.log_sigma).exp()
        return cls(soft_clamp(parameters.mean), sigma + sigma_floor if sigma_floor else sigma)

    def at(self, noise: Tensor, *, temperature: float = 1.0) -> Tensor:
        """The sample that standard-normal ``noise`` makes, with sigma multiplied by ``temperature``.

        Noise of more rows is of several draws for each row of the distribution, image-major.
        """
        mean, sigma = expanded(self.mean, len(noise)), expanded(self.sigma, len(noise))
        return mean + temperature * sigma * noise

    def noise_of(self, sample: Tensor, *, temperature: float = 1.0) -> Tensor:
        """The inverse of :meth:`at`."""
        return (sample - self.mean) / (temperature * self.sigma)

    def log_density(self, sample: Tensor) -> Tensor:
        """Element-wise log density in nats."""
        normalised = (sample - self.mean) / self.sigma
        return -0.5 * normalised.square() - self.sigma.log() - 0.5 * math.log(2 * math.pi)

    def kl(self, other: Normal) -> Tensor:
        """Element-wise KL(self ‖ other) in nats."""
        shift = (self.mean - other.mean) / other.sigma
        ratio = self.sigma / other.sigma
        return 0.5 * (shift.square() + ratio.square() - 1) - ratio.log()


def standard_parameters(like: Tensor, shape: tuple[int, ...]) -> Parameters:
    """Raw parameters of the standard normal prior of the first latent, (len(like), \\*shape)."""
    zeros = torch.zeros(len(like), *shape, dtype=like.dtype, device=like.device)
    return Parameters(zeros, zeros)
