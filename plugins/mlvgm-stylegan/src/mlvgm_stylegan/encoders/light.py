"""A small convolutional encoder into W+, for generators that this project trains."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Any, Literal, Self

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from mlvgm.foreign.given import check_batch
from mlvgm.latents import ImageSpec
from mlvgm_stylegan.encoders.agreement import check_styles, parsed
from mlvgm_stylegan.stylegan2.architecture import StyleGAN2Architecture

PositiveInt = Annotated[int, Field(ge=1)]


class LightEncoderArchitecture(BaseModel):
    """Sizes of a :class:`LightEncoder`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["light"] = "light"
    image: tuple[PositiveInt, PositiveInt, PositiveInt] = Field(description="channels, height, width")
    styles: PositiveInt = Field(description="number of styles")
    w_dim: PositiveInt = Field(description="numbers in one style")
    widths: tuple[PositiveInt, ...] = Field(
        (48, 80, 104), min_length=1, description="channels at a half, a quarter, … of the resolution"
    )
    kept: PositiveInt = Field(32, description="channels of the coarsest features that keep their places")
    hidden: PositiveInt = Field(192, description="numbers from which all styles are made")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        factor = 2 ** len(self.widths)
        if self.image[1] % factor or self.image[2] % factor:
            raise ValueError(f"images of {self.image[1]}×{self.image[2]} cannot be halved {len(self.widths)} times")
        return self

    @property
    def coarsest(self) -> tuple[int, int]:
        """Size of the coarsest feature map."""
        factor = 2 ** len(self.widths)
        return self.image[1] // factor, self.image[2] // factor


class ResidualBlock(nn.Module):
    """x + two 3×3 convolutions of it, small at first."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        self.second.weight.data.mul_(0.1)

    def forward(self, features: Tensor) -> Tensor:
        result: Tensor = features + self.second(F.silu(self.first(F.silu(features))))
        return result


class LightEncoder(nn.Module):
    """A pyramid of residual blocks; every style is the mean style and an offset.

    Offsets are read from the coarsest features with their places, and from means and deviations of the finer ones
    over all places, which is what fine styles (contrast, texture) depend on.

    Attributes:
        average: mean of each style, (styles, w_dim).
        deviation: standard deviation of its numbers, the unit of the offsets.

    Example:
        >>> encoder = LightEncoder(LightEncoderArchitecture(image=(1, 32, 32), styles=8, w_dim=64))
        >>> encoder.encode(torch.zeros(2, 1, 32, 32)).shape
        torch.Size([2, 8, 64])
    """

    average: Tensor
    deviation: Tensor

    def __init__(self, architecture: LightEncoderArchitecture) -> None:
        super().__init__()
        self.architecture = a = architecture
        self.stem = nn.Conv2d(4 * a.image[0], a.widths[0], 3, padding=1)
        self.blocks = nn.ModuleList(ResidualBlock(width) for width in a.widths)
        self.down = nn.ModuleList(
            nn.Conv2d(fine, coarse, 3, stride=2, padding=1) for fine, coarse in pairwise(a.widths)
        )
        self.keep = nn.Conv2d(a.widths[-1], a.kept, 1)
        height, width = a.coarsest
        self.hidden = nn.Linear(a.kept * height * width + 2 * sum(a.widths), a.hidden)
        self.offsets = nn.Linear(a.hidden, a.styles * a.w_dim)
        self.offsets.weight.data.mul_(0.1)
        self.register_buffer("average", torch.zeros(a.styles, a.w_dim))
        self.register_buffer("deviation", torch.ones(a.styles, a.w_dim))

    @classmethod
    def from_architecture(cls, architecture: Mapping[str, Any], *, generator: StyleGAN2Architecture) -> Self:
        """The encoder, without its weights, that ``architecture`` describes.

        Raises:
            InputError: it is no light encoder, or not for ``generator``.
        """
        a = parsed(LightEncoderArchitecture, architecture)
        check_styles("light", styles=a.styles, w_dim=a.w_dim, channels=a.image[0], generator=generator)
        return cls(a)

    @property
    def image(self) -> ImageSpec:
        """Images that :meth:`encode` takes, which are of the generator's size."""
        return ImageSpec(*self.architecture.image)

    def forward(self, images: Tensor) -> Tensor:
        """Offsets (B, styles, w_dim) in units of :attr:`deviation`, of images (B, \\*image.shape) in [−1, 1]."""
        features = self.stem(F.pixel_unshuffle(images, 2))
        collected: list[Tensor] = []
        for level, block in enumerate(self.blocks):
            features = block(self.down[level - 1](F.silu(features)) if level else features)
            # The variance of a constant feature map has an infinite slope under the root.
            deviations = (features.var((2, 3), correction=0) + 1e-4).sqrt()
            collected += [features.mean((2, 3)), deviations]
        collected.append(self.keep(F.silu(features)).flatten(1))
        hidden = F.silu(self.hidden(torch.cat(collected, 1)))
        result: Tensor = self.offsets(hidden).view(len(images), *self.average.shape)
        return result

    def encode(self, images: Tensor) -> Tensor:
        """Styles (B, styles, w_dim) of images (B, \\*image.shape) in [0, 1].

        Raises:
            InputError: images of another size.
        """
        check_batch(images, what="images for light", spec=self.image)
        result: Tensor = self.average + self.deviation * self(2 * images - 1)
        return result

    def restore(self, images: Tensor) -> Tensor:
        """The generator's images as they are: both have one size."""
        return images


def build_encoder(architecture: LightEncoderArchitecture, *, seed: int) -> LightEncoder:
    """An encoder with fresh parameters from ``seed``; the global random state stays as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LightEncoder(architecture)
