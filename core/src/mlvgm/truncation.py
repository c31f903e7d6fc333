"""Truncation as a map of standard-normal noise: the same draws, squeezed into [−t, t]."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.special import erfc, ndtri

from mlvgm.errors import InputError


def truncate(noise: Tensor, threshold: float) -> Tensor:
    """z = Φ⁻¹(Φ(−t) + Φ(e) · (Φ(t) − Φ(−t))): standard-normal e become the standard normal given |z| ≤ t.

    Args:
        noise: e, of any shape.
        threshold: t > 0; where Φ(−t) vanishes, e stays as it is.

    Example:
        >>> truncate(torch.tensor([-9.0, 0.0, 0.5]), 0.5)
        tensor([-0.5000,  0.0000,  0.1848])
    """
    tail = _tail(threshold, noise)
    # Both halves are mapped as the lower one, where Φ resolves small probabilities.
    upper = noise > 0
    lower = ndtri(tail + _share(torch.where(upper, -noise, noise)) * (1 - 2 * tail))
    return torch.where(upper, -lower, lower).to(noise.dtype)


def untruncate(latent: Tensor, threshold: float) -> Tensor:
    """The noise that :func:`truncate` turns into ``latent``.

    Raises:
        InputError: a value is beyond the threshold: no noise makes it.
    """
    if bool((latent.abs() > threshold * (1 + 1e-6)).any()):
        raise InputError(f"latents beyond truncation {threshold} have no noise", hint="use a larger one, or none")
    tail = _tail(threshold, latent)
    upper = latent > 0
    share = (_share(torch.where(upper, -latent, latent)) - tail) / (1 - 2 * tail)
    lower = ndtri(share.clamp(min=torch.finfo(share.dtype).tiny))
    return torch.where(upper, -lower, lower).to(latent.dtype)


def _tail(threshold: float, like: Tensor) -> Tensor:
    return _share(torch.tensor(-threshold, dtype=torch.float64, device=like.device))


def _share(value: Tensor) -> Tensor:
    """Φ in double precision; torch's own ``ndtr`` loses its digits far below zero."""
    share: Tensor = erfc(-value.double() * 0.5**0.5) / 2
    return share
