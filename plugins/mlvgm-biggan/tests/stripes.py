"""A data set of two classes that tiny networks learn in a few steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from mlvgm.latents import ImageSpec
from mlvgm.protocols.data import DataInfo, Split
from mlvgm_biggan.biggan.architecture import BigGANArchitecture

ARCHITECTURE = BigGANArchitecture(
    chunks=(3, 2), classes=2, embedding=4, side=4, widths=(16, 8), image_channels=1
)  # images of 8×8


@dataclass(frozen=True)
class Stripes:
    """Class 0 is bright on the left, class 1 at the top; the strength varies."""

    seen: list[int] = field(default_factory=list)
    info: DataInfo = field(
        default_factory=lambda: DataInfo("stripes", ImageSpec(1, 8, 8), ("left", "top"), "MIT", "made up")
    )

    def size(self, split: Split) -> int:
        return 50

    def batch(self, split: Split, ids: Sequence[int]) -> tuple[Tensor, Tensor]:
        self.seen.extend(ids)
        half = torch.zeros(8, 8)
        half[:, :4] = 1
        images = [(half.T if i % 2 else half) * (0.5 + 0.01 * i) for i in ids]
        return torch.stack(images).unsqueeze(1), torch.tensor([i % 2 for i in ids])
