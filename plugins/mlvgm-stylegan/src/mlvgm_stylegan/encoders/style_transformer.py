"""Style-Transformer: learned queries attend to an image's features and become its styles (arXiv 2203.07932)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, interpolate

from mlvgm.foreign.given import check_batch
from mlvgm.latents import ImageSpec
from mlvgm_stylegan.encoders.agreement import check_styles, parsed
from mlvgm_stylegan.encoders.feature_pyramid import FeaturePyramid
from mlvgm_stylegan.encoders.irse import IRSEArchitecture, PositiveInt
from mlvgm_stylegan.stylegan2.architecture import StyleGAN2Architecture


class StyleTransformerArchitecture(BaseModel):
    """Sizes of a :class:`StyleTransformer`. The defaults are those of the original for cars of 512 pixels.

    The features of the last stage have as many channels as a style has numbers.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["style-transformer"] = "style-transformer"
    image: tuple[PositiveInt, PositiveInt, PositiveInt] = Field((3, 128, 128), description="channels, height, width")
    resolution: PositiveInt = Field(256, description="side of the square that images are resized to")
    margin: Annotated[int, Field(ge=0)] = Field(32, description="rows at its top and bottom that are not looked at")
    body: IRSEArchitecture = IRSEArchitecture()
    queries: PositiveInt = Field(16, description="number of styles")
    heads: PositiveInt = Field(4, description="attention heads")
    feed_forward: PositiveInt = Field(1024, description="hidden units between attentions")
    face_pool: PositiveInt = Field(256, description="side that the generator's images are pooled to")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.w_dim % self.heads:
            raise ValueError(f"{self.heads} heads do not divide {self.w_dim} numbers")
        if 2 * self.margin >= self.resolution:
            raise ValueError(f"margins of {self.margin} rows leave nothing of {self.resolution}")
        return self

    @property
    def w_dim(self) -> int:
        """Numbers in one style."""
        return self.body.widths[-1]


class StyleTransformer(nn.Module):
    """The encoder: three transformer decoder layers, which read coarse, middle and fine features in turn.

    Args:
        architecture: sizes.

    Attributes:
        queries: (num_ws, w_dim). Learned as base noise z; these are their styles, since the mapping network is frozen.
        average: the mean style of each layer (num_ws, w_dim), from which codes start.

    Example:
        >>> body = IRSEArchitecture(stem=4, widths=(4, 4, 4, 8), units=(1, 1, 1, 1), squeezed=(1, 1, 1, 1))
        >>> architecture = StyleTransformerArchitecture(
        ...     image=(3, 16, 16), resolution=32, margin=4, body=body, queries=8, feed_forward=8, face_pool=32
        ... )
        >>> StyleTransformer(architecture).encode(torch.rand(2, 3, 16, 16)).shape
        torch.Size([2, 8, 8])
    """

    queries: Tensor
    average: Tensor

    def __init__(self, architecture: StyleTransformerArchitecture) -> None:
        super().__init__()
        a = self.architecture = architecture
        self.pyramid = FeaturePyramid(a.body)
        self.layers = nn.ModuleList(
            nn.TransformerDecoderLayer(a.w_dim, a.heads, a.feed_forward, dropout=0.0, batch_first=True)
            for _ in range(3)
        )
        self.register_buffer("queries", torch.zeros(a.queries, a.w_dim))
        self.register_buffer("average", torch.zeros(a.queries, a.w_dim))

    @classmethod
    def from_architecture(cls, architecture: Mapping[str, Any], *, generator: StyleGAN2Architecture) -> Self:
        """The encoder, without its weights, that ``architecture`` describes.

        Raises:
            InputError: it is no Style-Transformer, or not for ``generator``.
        """
        a = parsed(StyleTransformerArchitecture, architecture)
        check_styles("style-transformer", styles=a.queries, w_dim=a.w_dim, channels=a.image[0], generator=generator)
        # A few percent faster at the original sizes, a tenth at small ones (benchmarks/encoders.py).
        return cls(a).to(memory_format=torch.channels_last)

    @property
    def image(self) -> ImageSpec:
        """Images that :meth:`encode` takes."""
        return ImageSpec(*self.architecture.image)

    def frame(self, images: Tensor) -> Tensor:
        """What the network sees of images (B, \\*image.shape): resized, without the margins."""
        a = self.architecture
        resized = _resized(images, (a.resolution, a.resolution))
        return resized[:, :, a.margin : a.resolution - a.margin]

    def forward(self, images: Tensor) -> Tensor:
        """Offsets of the styles from :attr:`average`.

        Args:
            images: framed, (B, channels, resolution - 2 · margin, resolution) in [-1, 1].

        Shape:
            output: (B, num_ws, w_dim).
        """
        styles = self.queries.expand(len(images), -1, -1)
        for layer, features in zip(self.layers, self.pyramid(images), strict=True):
            styles = layer(styles, features.flatten(2).transpose(1, 2))
        return styles

    def encode(self, images: Tensor) -> Tensor:
        """Styles (B, num_ws, w_dim) of images (B, \\*image.shape) in [0, 1].

        Raises:
            InputError: images of another size.
        """
        check_batch(images, what="images for style-transformer", spec=self.image)
        offsets: Tensor = self(self.frame(2 * images - 1))
        return self.average + offsets

    def restore(self, images: Tensor) -> Tensor:
        """The generator's images in [0, 1]: pooled, with black margins, resized to the encoder's size."""
        a = self.architecture
        pooled = adaptive_avg_pool2d(images, a.face_pool)
        rows = torch.arange(a.face_pool, device=images.device)
        seen = (rows >= a.margin) & (rows < a.resolution - a.margin)
        return _resized(pooled * seen[:, None], self.image.shape[1:])


def _resized(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear between pixel centres, without a low-pass filter."""
    return interpolate(images, size=size, mode="bilinear", align_corners=False)
