"""Low-pass filters before and after a change of resolution (arXiv 1912.04958, appendix B)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import conv2d, conv_transpose2d, pad


def normalised_filter(taps: Sequence[float] | Sequence[Sequence[float]]) -> Tensor:
    """The filter (height, width) of ``taps``, of sum 1; taps of one axis stand for their outer product.

    >>> normalised_filter([1, 1])
    tensor([[0.2500, 0.2500],
            [0.2500, 0.2500]])
    """
    kernel = torch.tensor(taps, dtype=torch.float32)
    if kernel.ndim == 1:
        kernel = torch.outer(kernel, kernel)
    return kernel / kernel.sum()


def fir(x: Tensor, kernel: Tensor, *, padding: tuple[int, int, int, int], gain: float = 1.0, stride: int = 1) -> Tensor:
    """Each channel of x (N, C, H, W) convolved with ``kernel``, after ``padding`` (left, right, top, bottom) by zeros.

    Negative padding crops.
    """
    channels = x.shape[1]
    weight = (gain * kernel).flip((0, 1)).to(x.dtype).expand(channels, 1, -1, -1)
    left, right, top, bottom = padding
    if left == right >= 0 and top == bottom >= 0:
        # Padding inside the convolution spares a copy of x.
        return conv2d(x, weight, stride=stride, padding=(top, left), groups=channels)
    return conv2d(pad(x, padding), weight, stride=stride, groups=channels)


def upsample(x: Tensor, kernel: Tensor) -> Tensor:
    """Twice the resolution: zeros between pixels, then the filter."""
    channels, height, width = x.shape[1:]
    rows, columns = kernel.shape
    weight = (4 * kernel).to(x.dtype).expand(channels, 1, -1, -1)
    full = conv_transpose2d(x, weight, stride=2, groups=channels)
    top, left = (rows - 2) // 2, (columns - 2) // 2
    bottom = 2 * height - full.shape[2] + top
    right = 2 * width - full.shape[3] + left
    return pad(full, (-left, right, -top, bottom))


def downsample_padding(kernel: Tensor, *, extra: int = 0) -> tuple[int, int, int, int]:
    """Padding of :func:`fir` that halves a resolution with stride 2; ``extra`` is that of a convolution in between."""
    rows, columns = kernel.shape
    return (
        (columns - 1) // 2 + extra,
        (columns - 2) // 2 + extra,
        (rows - 1) // 2 + extra,
        (rows - 2) // 2 + extra,
    )
