"""Batches that share rows: a state of B images widens to B·k draws when the first tensor of a draw meets it.

Rows are image-major everywhere: row b·k + j is draw j of image b.
"""

from __future__ import annotations

from collections.abc import Sequence, Sized
from typing import TYPE_CHECKING

from mlvgm.errors import ConfigError, InputError

if TYPE_CHECKING:
    from torch import Tensor


def expanded(tensor: Tensor, rows: int) -> Tensor:
    """``tensor`` with ``rows`` rows."""
    return tensor if len(tensor) == rows else tensor.repeat_interleave(rows // len(tensor), 0)


def aligned(*tensors: Tensor) -> list[Tensor]:
    """All with the rows of the longest.

    >>> import torch
    >>> [len(tensor) for tensor in aligned(torch.zeros(2, 1), torch.zeros(6, 1))]
    [6, 6]
    """
    rows = max(map(len, tensors))
    return [expanded(tensor, rows) for tensor in tensors]


def mixed(kept: Tensor, fresh: Tensor, alpha: float) -> Tensor:
    """(1 − α) · kept + α · fresh (arXiv 2412.03453, section 3.2), widened only where something fresh enters.

    >>> import torch
    >>> len(mixed(torch.zeros(2, 1), torch.ones(6, 1), 0.0)), len(mixed(torch.zeros(2, 1), torch.ones(6, 1), 0.5))
    (2, 6)
    """
    if alpha in (0, 1):
        return fresh if alpha else kept
    kept, fresh = aligned(kept, fresh)
    return (1 - alpha) * kept + alpha * fresh


def check_blend(encoding: Sized, source: Sized, alphas: Sequence[float], *, name: str, latents: int) -> None:
    """Refuse what ``blend`` cannot mix.

    Args:
        encoding: B rows.
        source: B·k rows.
        alphas: one for each latent.
        name: of the generator, for messages.
        latents: how many it has.

    Raises:
        ConfigError: the number or range of ``alphas``.
        InputError: rows of ``source`` are no multiple of those of ``encoding``.
    """
    if len(alphas) != latents:
        raise ConfigError(f"{name} has {latents} latents, got {len(alphas)} alphas", hint="give one for each")
    if not all(0 <= alpha <= 1 for alpha in alphas):
        raise ConfigError(f"alphas must be in [0, 1], got {list(alphas)}")
    if len(encoding) == 0 or len(source) % len(encoding):
        raise InputError(
            f"{len(source)} rows of noise for {len(encoding)} encoded images",
            hint="give every image the same number of draws",
        )
