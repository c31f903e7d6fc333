"""No purification: the baseline every other row is read against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from mlvgm.errors import InputError
from mlvgm.foreign.given import check_batch
from mlvgm.noise import Keys, row_numbers
from mlvgm_robust.purifiers.config import NoneConfig

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True)
class NoNoise:
    """The noise of a deterministic purifier: only how many rows there are."""

    rows: int

    def __len__(self) -> int:
        return self.rows

    def __getitem__(self, index: Any) -> Self:
        return type(self)(len(row_numbers(index, self.rows)))


def draws_per_image(images: Tensor, rows: int) -> int:
    """k of B images and B·k rows of noise.

    Raises:
        InputError: they are no images, or the rows no multiple of theirs.
    """
    check_batch(images)
    if rows == 0 or rows % len(images):
        raise InputError(
            f"{rows} rows of noise for {len(images)} images", hint="give every image the same number of draws"
        )
    return rows // len(images)


@dataclass(frozen=True)
class Identity:
    """Returns the images as they are."""

    stochastic: bool = False
    differentiable: bool = True

    def to(self, device: torch.device | str) -> Self:
        return self

    def noise(self, keys: Keys) -> NoNoise:
        return NoNoise(len(keys))

    def purify(self, images: Tensor, noise: NoNoise) -> Tensor:
        return images.repeat_interleave(draws_per_image(images, len(noise)), 0)


def build(config: NoneConfig) -> Identity:
    """The purifier of ``config``; it needs no generator."""
    return Identity()
