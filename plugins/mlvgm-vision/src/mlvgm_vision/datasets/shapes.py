"""shapes: drawn images whose causes are known, so labels and information are exact."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor

from mlvgm.errors import InputError
from mlvgm.latents import ImageSpec
from mlvgm.protocols.data import DataInfo, Split
from mlvgm_vision.datasets.config import ShapesConfig
from mlvgm_vision.datasets.shapes_drawing import draw
from mlvgm_vision.datasets.shapes_factors import FACTORS, SHAPE, Factor, factors_of, shuffled

TEST, VALIDATION = 10_000, 4_800


class Shapes:
    """One coloured shape on a plain background: 64,800 RGB images, one for each combination of seven factors.

    The factors are, coarse to fine, background, shape, scale, x, y, hue and texture (:data:`FACTORS`). They are
    independent and uniform, and the drawing is injective: an image has one combination and no two look alike. So an
    image has exactly log 64,800 = 11.08 nats, factor i of K_i values log K_i of them, and where each factor is redrawn
    with its own probability the mutual information of the two images is a sum of closed forms. The label is the shape.

    Each combination is in one split: there are no duplicates, and no test image is trained on.

    Args:
        config: size of the images and of the train split.

    Attributes:
        info: shape of the images; label names are those of the shapes.
        factor_specs: name and values of each factor, coarse to fine.

    Example:
        >>> data = Shapes(ShapesConfig())
        >>> images, labels = data.batch("train", [0, 1])
        >>> images.shape, bool((data.render(data.factors("train", [0, 1])) == images).all())
        (torch.Size([2, 3, 32, 32]), True)
    """

    factor_specs: tuple[Factor, ...] = FACTORS

    def __init__(self, config: ShapesConfig) -> None:
        self._config = config
        self.info = DataInfo(
            name="shapes",
            image=ImageSpec(3, config.size, config.size),
            label_names=FACTORS[SHAPE].values,
            licence="MIT",
            source=f"drawn from {len(FACTORS)} factors by mlvgm-vision",
        )

    def size(self, split: Split) -> int:
        """Number of images of ``split``."""
        return {"train": self._config.train, "validation": VALIDATION, "test": TEST}[split]

    def batch(self, split: Split, ids: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Images (B, 3, size, size) in [0, 1] and labels (B,), the number of the shape.

        Raises:
            InputError: there is no such sample id.
        """
        factors = self.factors(split, ids)
        return self.render(factors), factors[:, SHAPE]

    def factors(self, split: Split, ids: Sequence[int]) -> Tensor:
        """Factor values of the samples ``ids``, (B, 7) int64, columns in the order of ``factor_specs``.

        Raises:
            InputError: there is no such sample id.
        """
        size = self.size(split)
        index = torch.as_tensor(list(ids), dtype=torch.int64)
        if bool(((index < 0) | (index >= size)).any()):
            raise InputError(
                f"expected sample ids from 0 to {size - 1}, came {int(index.min())} to {int(index.max())} "
                f"(shapes, {split})",
                hint="ask for fewer images",
            )
        start = {"test": 0, "validation": TEST, "train": TEST + VALIDATION}[split]
        return factors_of(self._order[start + index])

    def render(self, factors: Tensor) -> Tensor:
        """The images of any factor values, not only of those in a split.

        Args:
            factors: (B, 7) integers, column i from 0 to ``len(factor_specs[i]) − 1``.

        Shape:
            output: (B, 3, size, size) in [0, 1].

        Raises:
            InputError: not such integers.
        """
        limits = torch.tensor([len(factor) for factor in FACTORS])
        if factors.ndim != 2 or factors.shape[1] != len(FACTORS) or factors.is_floating_point():
            raise InputError(
                f"expected integer factors (B, {len(FACTORS)}), came {tuple(factors.shape)} {factors.dtype}",
                hint=f"one column each for {', '.join(factor.name for factor in FACTORS)}",
            )
        wrong = (factors < 0) | (factors >= limits)
        if bool(wrong.any()):
            row, column = wrong.nonzero()[0].tolist()
            raise InputError(
                f"expected values of factor {FACTORS[column].name} from 0 to {limits[column] - 1}, came "
                f"{int(factors[row, column])}"
            )
        return draw(factors.long(), size=self._config.size)

    @cached_property
    def _order(self) -> Tensor:
        return shuffled()


def shapes(config: ShapesConfig) -> Shapes:
    """Factory of the data set ``shapes``."""
    return Shapes(config)
