"""What a StyleGAN2 is made of, as data: every size and every choice in which its variants differ."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

PositiveInt = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]
Taps = Annotated[tuple[float, ...], Field(min_length=1)]


class MappingArchitecture(BaseModel):
    """What every StyleGAN says of its :class:`~mlvgm_stylegan.stylegan2.mapping.MappingNetwork`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    z_dim: PositiveInt = Field(description="numbers in one base noise z")
    w_dim: PositiveInt = Field(description="numbers in one style w")
    mapping_layers: PositiveInt = Field(8, description="fully connected layers of the mapping network")
    mapping_width: PositiveInt | None = Field(None, description="width of its hidden layers; None is w_dim")
    mapping_learning_rate: float = Field(0.01, gt=0, description="learning-rate multiplier of the mapping network")
    classes: Count = Field(0, description="number of classes, 0 for an unconditional model")
    embedding_dim: PositiveInt | None = Field(None, description="numbers in a class embedding; None is w_dim")


class StyleGAN2Architecture(MappingArchitecture):
    """Architecture of a :class:`~mlvgm_stylegan.stylegan2.network.StyleGAN2` (arXiv 1912.04958, 2006.06676).

    Example:
        >>> architecture = StyleGAN2Architecture(z_dim=512, w_dim=512, channels=(512, 512, 256, 128))
        >>> architecture.resolution, architecture.num_ws
        (32, 8)
    """

    channels: tuple[PositiveInt, ...] = Field(min_length=1, description="feature channels at 4×4, 8×8, 16×16, …")
    image_channels: PositiveInt = Field(3, description="colours of the images")
    output: Literal["skip", "resnet", "orig"] = Field(
        "skip",
        description="how the image leaves the network: summed over resolutions, after residual blocks, or after the "
        "last block only",
    )
    resample_filter: Taps | tuple[Taps, ...] = Field(
        (1.0, 3.0, 3.0, 1.0),
        description="low-pass filter of upsampling, one axis (separable) or rows; its scale is free",
    )
    noise: bool = Field(True, description="layers have noise images")
    conv_clamp: float | None = Field(None, gt=0, description="bound on activations, for 16-bit arithmetic")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        rows = self.resample_filter
        if isinstance(rows[0], tuple) and len({len(row) for row in rows if isinstance(row, tuple)}) != 1:
            raise ValueError("the rows of resample_filter differ in length")
        return self

    @property
    def resolutions(self) -> tuple[int, ...]:
        """Sides of the feature maps, coarse → fine."""
        return tuple(4 * 2**i for i in range(len(self.channels)))

    @property
    def resolution(self) -> int:
        """Side of the images."""
        return self.resolutions[-1]

    @property
    def num_ws(self) -> int:
        """Number of styles: one a convolution, and one for the last layer to colours."""
        return 2 * len(self.channels)

    @property
    def layer_resolutions(self) -> tuple[int, ...]:
        """Side of the feature map that each convolution makes, which is that of its noise image."""
        return tuple(side for side in self.resolutions for _ in range(2))[1:]


def light(*, image_channels: int = 1, classes: int = 0) -> StyleGAN2Architecture:
    """The small 32×32 variant that this project trains.

    >>> light().resolution, light().num_ws
    (32, 8)
    """
    return StyleGAN2Architecture(
        z_dim=64,
        w_dim=64,
        channels=(64, 64, 32, 16),
        image_channels=image_channels,
        mapping_layers=3,
        mapping_learning_rate=0.1,
        noise=False,
        classes=classes,
    )
