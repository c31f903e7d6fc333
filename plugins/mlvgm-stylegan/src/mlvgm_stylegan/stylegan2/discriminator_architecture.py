"""The shape of a StyleGAN2 discriminator."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class DiscriminatorArchitecture(BaseModel):
    """What a discriminator is made of.

    Its coarsest feature map is 4×4, or what halving an image that is no power of two high ends with.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    image: tuple[int, int, int] = Field(description="channels, height, width")
    channels: tuple[int, ...] = Field(min_length=1, description="of the feature maps, from the finest to the coarsest")
    unshuffle: bool = Field(False, description="start at half the resolution, with 2×2 pixels as channels")
    filter: tuple[float, ...] = Field((1.0, 3.0, 3.0, 1.0), min_length=2, description="low-pass filter of downsampling")
    group: int = Field(4, ge=1, description="images over which a minibatch standard deviation is taken")
    group_channels: int = Field(1, ge=1, description="standard deviations of each group, one feature map each")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        _, height, width = self.image
        factor = 2 ** (len(self.channels) - 1 + self.unshuffle)
        if height % factor or width % factor:
            raise ValueError(f"images of {height}×{width} cannot be halved to {len(self.channels)} feature maps")
        if self.channels[-1] % self.group_channels:
            raise ValueError(f"{self.channels[-1]} channels do not split into {self.group_channels} equal parts")
        return self
