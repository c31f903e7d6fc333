"""Fashion-MNIST (arXiv 1708.07747): 70,000 grey images of ten kinds of clothing, padded from 28×28 to 32×32."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from mlvgm.errors import InputError
from mlvgm.latents import ImageSpec
from mlvgm.protocols.data import DataInfo, Split
from mlvgm_vision.datasets.config import FashionMNISTConfig
from mlvgm_vision.datasets.fashion_mnist_files import find_full, get_full, locate
from mlvgm_vision.datasets.fashion_mnist_sample import FOLDER, SAMPLES

if TYPE_CHECKING:
    from torch import Tensor

LABEL_NAMES = (
    "T-shirt/top",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)
PADDING = 2
VALIDATION = 5_000
_TRAIN, _TEST = 60_000, 10_000


class FashionMNIST:
    """Fashion-MNIST, or the bundled sample: its first 2,000 test images, whose sample ids mean the same images.

    The last 5,000 of the 60,000 training images are the validation split. Files are read, and torch is imported,
    when images are first asked for.

    Args:
        folder: with the four IDX files; None for the sample.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        source = "the first 2,000 test images, bundled with mlvgm-vision" if folder is None else str(folder)
        self.info = DataInfo(
            name="fashion-mnist",
            image=ImageSpec(1, 32, 32),
            label_names=LABEL_NAMES,
            licence="MIT",
            source=source,
            sample=folder is None,
        )

    def size(self, split: Split) -> int:
        """Number of images of ``split``.

        Raises:
            InputError: only the sample is here, and it has no such split.
        """
        if split == "test":
            return SAMPLES if self._folder is None else _TEST
        self._refuse_sample(split)
        return VALIDATION if split == "validation" else _TRAIN - VALIDATION

    def batch(self, split: Split, ids: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Images (B, 1, 32, 32) in [0, 1] and labels (B,).

        Raises:
            InputError: a file is broken, the split is not available, or there is no such sample id.
        """
        import torch
        from torch.nn import functional as F

        images, labels = self._split(split)
        index = torch.as_tensor(list(ids), dtype=torch.int64)
        if bool(((index < 0) | (index >= len(labels))).any()):
            raise InputError(
                f"expected sample ids from 0 to {len(labels) - 1}, came {int(index.min())} to "
                f"{int(index.max())} (fashion-mnist, {split}, {self.info.source})",
                hint="ask for fewer images, or fetch the full data set with `make data`",
            )
        return F.pad(images[index].unsqueeze(1).float() / 255, [PADDING] * 4), labels[index]

    def _split(self, split: Split) -> tuple[Tensor, Tensor]:
        if split == "test":
            return self._test
        self._refuse_sample(split)
        images, labels = self._train
        part = slice(None, -VALIDATION) if split == "train" else slice(-VALIDATION, None)
        return images[part], labels[part]

    def _refuse_sample(self, split: Split) -> None:
        if self._folder is None:
            raise InputError(
                f"the bundled sample of fashion-mnist has no {split} split",
                hint="fetch the full data set with `make data`, or let it be downloaded with `--set data.source=full`",
            )

    @cached_property
    def _train(self) -> tuple[Tensor, Tensor]:
        assert self._folder is not None
        return _read(self._folder, "train", _TRAIN)

    @cached_property
    def _test(self) -> tuple[Tensor, Tensor]:
        if self._folder is not None:
            return _read(self._folder, "t10k", _TEST)
        return _read(FOLDER, "t10k", SAMPLES)


def _read(folder: Path, part: str, count: int) -> tuple[Tensor, Tensor]:
    from mlvgm_vision.datasets.idx import read_idx  # with torch, which looking at a data set does not need

    images = read_idx(locate(folder, f"{part}-images-idx3-ubyte"))
    labels = read_idx(locate(folder, f"{part}-labels-idx1-ubyte")).long()
    if images.shape != (count, 28, 28) or labels.shape != (count,) or int(labels.max()) > 9:
        raise InputError(
            f"expected {count} images of 28×28 with labels from 0 to 9 in {folder}, came {tuple(images.shape)} "
            f"images and {tuple(labels.shape)} labels up to {int(labels.max())}",
            hint="fetch the data set again with `make data`",
        )
    return images, labels


def fashion_mnist(config: FashionMNISTConfig) -> FashionMNIST:
    """Factory of the data set ``fashion-mnist``."""
    if config.source == "sample":
        return FashionMNIST(None)
    if config.source == "full":
        return FashionMNIST(get_full(config.data_dir))
    return FashionMNIST(find_full(config.data_dir))
