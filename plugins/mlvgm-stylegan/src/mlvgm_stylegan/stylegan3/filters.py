"""Changes of sampling rate with low-pass filters (arXiv 2106.12423, section 3.2), in polyphase form."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import conv2d, conv_transpose2d, pad


def upsampled(x: Tensor, taps: Tensor | None, *, factor: int, padding: tuple[int, int]) -> Tensor:
    """x (N, C, H, W) at ``factor`` times the rate.

    ``factor`` − 1 zeros follow every pixel, ``padding`` at the low and high end of both axes is added (cropped, where
    negative), and the separable filter ``taps`` is applied. A transposed convolution does all of it without computing
    with the zeros.
    """
    low, high = padding
    if taps is None:
        return pad(x, (low, high, low, high))
    channels, length = x.shape[1], len(taps)
    # The transposed convolution pads by length − 1 below and, short of the zeros after the last pixel, above.
    low, high = low - (length - 1), high - (length - 1) + factor - 1
    weight = (factor * taps).to(x.dtype)
    columns = weight.view(1, 1, 1, -1).expand(channels, 1, 1, -1)
    rows = weight.view(1, 1, -1, 1).expand(channels, 1, -1, 1)
    x = pad(conv_transpose2d(x, columns, stride=(1, factor), groups=channels), (low, high, 0, 0))
    return pad(conv_transpose2d(x, rows, stride=(factor, 1), groups=channels), (0, 0, low, high))


def downsampled(x: Tensor, taps: Tensor | None, *, factor: int) -> Tensor:
    """x (N, C, H, W) filtered by ``taps``, separable or two-dimensional, of which every ``factor``-th pixel is kept."""
    if taps is None:
        return x[:, :, ::factor, ::factor]
    channels = x.shape[1]
    weight = taps.flip(tuple(range(taps.ndim))).to(x.dtype)
    if taps.ndim == 2:
        return conv2d(x, weight.expand(channels, 1, -1, -1), stride=factor, groups=channels)
    columns = weight.view(1, 1, 1, -1).expand(channels, 1, 1, -1)
    rows = weight.view(1, 1, -1, 1).expand(channels, 1, -1, 1)
    x = conv2d(x, columns, stride=(1, factor), groups=channels)
    return conv2d(x, rows, stride=(factor, 1), groups=channels)
