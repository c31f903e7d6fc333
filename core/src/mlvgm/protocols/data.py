"""Data sets: named sources of labelled images with splits, label names and a licence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from mlvgm.latents import ImageSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

Split = Literal["train", "validation", "test"]


@dataclass(frozen=True)
class DataInfo:
    """What a data set says about itself.

    Args:
        name: short name.
        image: shape of its images.
        label_names: one for each class.
        licence: SPDX identifier or "unknown".
        source: where the files in use are, in words a user understands.
        sample: only a sample of the test split is present, so training is refused.
    """

    name: str
    image: ImageSpec
    label_names: tuple[str, ...]
    licence: str
    source: str
    sample: bool = False

    @property
    def classes(self) -> int:
        return len(self.label_names)


class Dataset(Protocol):
    """A source of labelled images, addressed by sample id within a split."""

    @property
    def info(self) -> DataInfo: ...

    def size(self, split: Split) -> int:
        """Number of images of ``split``; sample ids are 0 … size − 1."""
        ...

    def batch(self, split: Split, ids: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Images (B, C, H, W) float32 in [0, 1] and labels (B,) int64 of the samples ``ids``.

        Raises:
            InputError: a file is missing or broken, or the split is not available (training on a bundled sample).
        """
        ...
