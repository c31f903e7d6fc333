"""The box that images live in: every pixel in [0, 1]."""

from __future__ import annotations

import torch
from torch import Tensor


def to_box(images: Tensor) -> Tensor:
    """``images`` clamped to [0, 1]; the gradient passes wherever a pixel is inside, the edges included.

    ``torch.clamp`` has derivative 0 at the edges themselves in recent versions (1 in older ones). Images are full of
    pixels that are exactly 0, and an attack has to see that it can raise them.

    Shape:
        output: as ``images``.

    >>> x = torch.tensor([-1.0, 0.0, 0.5, 1.0, 2.0], requires_grad=True)
    >>> to_box(x).sum().backward()
    >>> x.grad.tolist()
    [0.0, 1.0, 1.0, 1.0, 0.0]
    """
    return torch.where((images < 0) | (images > 1), images.clamp(0, 1), images)
