"""e4e: images to a style and small offsets from it for all finer layers (arXiv 2102.02766)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d

from mlvgm.foreign.given import check_batch
from mlvgm.latents import ImageSpec
from mlvgm_stylegan.encoders.agreement import check_styles, parsed
from mlvgm_stylegan.encoders.feature_pyramid import FeaturePyramid
from mlvgm_stylegan.encoders.irse import IRSEArchitecture, PositiveInt
from mlvgm_stylegan.stylegan2.architecture import StyleGAN2Architecture

Count = Annotated[int, Field(ge=0)]


class E4EArchitecture(BaseModel):
    """Sizes of an :class:`E4E`. The defaults are those of the original for faces of 1024 pixels."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["e4e"] = "e4e"
    image: tuple[PositiveInt, PositiveInt, PositiveInt] = Field((3, 256, 256), description="channels, height, width")
    body: IRSEArchitecture = IRSEArchitecture()
    styles: tuple[Count, Count, Count] = Field(
        (3, 4, 11), description="styles read from the coarse, the middle and the fine features"
    )
    w_dim: PositiveInt = Field(512, description="numbers in one style")
    face_pool: PositiveInt = Field(256, description="side that the generator's images are pooled to")

    @property
    def levels(self) -> tuple[int, ...]:
        """Which features each style is read from: 0 coarse, 1 middle, 2 fine."""
        return tuple(level for level, count in enumerate(self.styles) for _ in range(count))


def halvings(side: int, level: int) -> int:
    """How often the features at ``level``, of images of ``side`` pixels, are halved until one pixel is left.

    >>> [halvings(256, level) for level in (0, 1, 2)]
    [4, 5, 6]
    """
    features = math.ceil(side / (16 >> level))
    return max((features - 1).bit_length(), 1)


class E4E(nn.Module):
    """The encoder. Style 0 is shared by all layers; the others are offsets from it.

    Args:
        architecture: sizes.

    Attributes:
        average: the mean style of each layer (num_ws, w_dim), from which codes start.

    Example:
        >>> body = IRSEArchitecture(stem=4, widths=(4, 4, 4, 8), units=(1, 1, 1, 1), squeezed=(1, 1, 1, 1))
        >>> encoder = E4E(E4EArchitecture(image=(3, 32, 32), body=body, styles=(3, 4, 1), w_dim=8, face_pool=32))
        >>> encoder.encode(torch.rand(2, 3, 32, 32)).shape
        torch.Size([2, 8, 8])
    """

    average: Tensor

    def __init__(self, architecture: E4EArchitecture) -> None:
        super().__init__()
        a = self.architecture = architecture
        self.pyramid = FeaturePyramid(a.body)
        features, side = a.body.widths[-1], max(a.image[1:])
        self.styles = nn.ModuleList(_style_block(features, a.w_dim, halvings(side, level)) for level in a.levels)
        self.register_buffer("average", torch.zeros(len(a.levels), a.w_dim))

    @classmethod
    def from_architecture(cls, architecture: Mapping[str, Any], *, generator: StyleGAN2Architecture) -> Self:
        """The encoder, without its weights, that ``architecture`` describes.

        Raises:
            InputError: it is no e4e, or not for ``generator``.
        """
        a = parsed(E4EArchitecture, architecture)
        check_styles("e4e", styles=sum(a.styles), w_dim=a.w_dim, channels=a.image[0], generator=generator)
        # A few percent faster at the original sizes, a tenth at small ones (benchmarks/encoders.py).
        return cls(a).to(memory_format=torch.channels_last)

    @property
    def image(self) -> ImageSpec:
        """Images that :meth:`encode` takes."""
        return ImageSpec(*self.architecture.image)

    def forward(self, images: Tensor, *, stage: int | None = None) -> Tensor:
        """Offsets of the styles from :attr:`average`.

        Args:
            images: (B, \\*image.shape) in [-1, 1].
            stage: offsets of the layers after this one are left out, as in progressive training; None is all of them.

        Shape:
            output: (B, num_ws, w_dim).

        Raises:
            InputError: images of another size. (The reference would mix positions with images.)
        """
        check_batch(images, what="images for e4e", spec=self.image)
        features = self.pyramid(images)
        used = len(self.styles) if stage is None else stage + 1
        blocks = zip(self.styles, self.architecture.levels, strict=True)
        shared, *offsets = [block(features[level]) for block, level in list(blocks)[:used]]
        offsets += [torch.zeros_like(shared)] * (len(self.styles) - used)
        return torch.stack([shared, *(shared + offset for offset in offsets)], 1)

    def encode(self, images: Tensor) -> Tensor:
        """Styles (B, num_ws, w_dim) of images (B, \\*image.shape) in [0, 1].

        Raises:
            InputError: images of another size.
        """
        offsets: Tensor = self(2 * images - 1)
        return self.average + offsets

    def restore(self, images: Tensor) -> Tensor:
        """The generator's images in [0, 1], pooled to the encoder's size.

        Where that is wider than high (cars: 192 × 256), the rows above and below are cut off.
        """
        _, height, width = self.image.shape
        pooled = adaptive_avg_pool2d(images, self.architecture.face_pool)
        # The same size in every published file, where this changes nothing.
        pooled = adaptive_avg_pool2d(pooled, max(height, width))
        top, left = (max(width - height, 0) // 2, max(height - width, 0) // 2)
        return pooled[:, :, top : top + height, left : left + width]


def _style_block(inputs: int, outputs: int, depth: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for number in range(depth):
        layers += [nn.Conv2d(inputs if number == 0 else outputs, outputs, 3, stride=2, padding=1), nn.LeakyReLU(0.01)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(outputs, outputs))
