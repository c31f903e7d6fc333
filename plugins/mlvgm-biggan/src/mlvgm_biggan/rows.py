"""Rows that widen late: what does not depend on the draw is computed once an image."""

from __future__ import annotations

from torch import Tensor


def expanded(tensor: Tensor, rows: int) -> Tensor:
    """``tensor`` with ``rows`` rows, image-major."""
    return tensor if len(tensor) == rows else tensor.repeat_interleave(rows // len(tensor), 0)


def aligned(*tensors: Tensor) -> list[Tensor]:
    """All with the rows of the longest, image-major."""
    return [expanded(tensor, max(map(len, tensors))) for tensor in tensors]
