"""Reading images of a data set, checked to be what the protocol says: data sets are other people's code and files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mlvgm.errors import PluginError
from mlvgm.foreign.others import guarded
from mlvgm.protocols.data import Dataset, Split

if TYPE_CHECKING:
    from torch import Tensor


def size_of(data: Dataset, split: Split) -> int:
    """Number of images of ``split``.

    Raises:
        PluginError: the data set does not say, or fails.
        InputError: a file is missing or broken, or the split is not available.
    """
    name = _name(data)
    with guarded(lambda text: PluginError(f"{name} failed to tell the size of split '{split}': {text}")):
        size = data.size(split)
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise PluginError(f"{name}: expected the number of images of split '{split}', got {size!r}")
    return size


def read(data: Dataset, split: Split, ids: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Images (B, C, H, W) float32 in [0, 1] and labels (B,) int64 of the samples ``ids``; −1 where there is no label.

    Raises:
        PluginError: the data set fails, or gives something else.
        InputError: a file is missing or broken, or the split is not available.
    """
    import torch
    from torch import Tensor

    from mlvgm.foreign.answers import described

    name = _name(data)
    with guarded(lambda text: PluginError(f"{name} failed to read split '{split}': {text}")):
        found = data.batch(split, ids)
    if not (isinstance(found, (tuple, list)) and len(found) == 2 and all(isinstance(each, Tensor) for each in found)):
        raise PluginError(f"{name}: expected a batch of images and labels, two tensors, got {described(found)}")
    images, labels = found
    expected = (len(ids), *data.info.image.shape)
    if images.shape != expected or images.dtype != torch.float32:
        raise PluginError(f"{name}: expected images float32 {expected}, got {described(images)}")
    # NaN is outside too.
    if images.numel() and not (float(images.min()) >= 0 and float(images.max()) <= 1):
        low, high = float(images.min()), float(images.max())
        text = f"{name}: expected images in [0, 1], got values from {low:.4g} to {high:.4g}"
        raise PluginError(text, hint="bytes are divided by 255")
    if labels.shape != (len(ids),) or labels.dtype != torch.int64:
        raise PluginError(f"{name}: expected labels int64 ({len(ids)},), got {described(labels)}")
    if len(labels) and not -1 <= int(labels.min()) <= int(labels.max()) < data.info.classes:
        low, high = int(labels.min()), int(labels.max())
        text = f"{name}: expected labels from 0 to {data.info.classes - 1}, got {low} to {high}"
        raise PluginError(text, hint="one for each of its label_names; -1 where there is none")
    return images, labels


def _name(data: Dataset) -> str:
    return f"data set '{data.info.name}' ({type(data).__module__}.{type(data).__qualname__})"
