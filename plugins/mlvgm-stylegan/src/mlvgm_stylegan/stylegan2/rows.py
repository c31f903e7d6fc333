"""Batches that share rows: a state of B images widens to B·k draws when the first tensor of a draw meets it."""

from __future__ import annotations

from torch import Tensor


def expanded(tensor: Tensor, rows: int) -> Tensor:
    """``tensor`` with ``rows`` rows, image-major; a single row stays one where it can be broadcast."""
    return tensor if len(tensor) == rows else tensor.repeat_interleave(rows // len(tensor), 0)


def aligned(*tensors: Tensor) -> list[Tensor]:
    """All with the rows of the longest.

    >>> import torch
    >>> [len(tensor) for tensor in aligned(torch.zeros(2, 1), torch.zeros(6, 1))]
    [6, 6]
    """
    rows = max(map(len, tensors))
    return [expanded(tensor, rows) for tensor in tensors]
