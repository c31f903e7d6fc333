"""The shape of an A-VAE."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class AVAEArchitecture(BaseModel):
    """Sizes of encoder and decoder; the defaults are for 32×32 grey images."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    image: tuple[int, int, int] = Field((1, 32, 32), description="channels, height and width of the images")
    pool: int = Field(2, ge=1, description="images are averaged over squares of so many pixels before they are encoded")
    widths: tuple[int, ...] = Field(
        (96, 64, 32, 16), min_length=1, description="channels at 4×4, 8×8, … up to the size of the images"
    )
    latent_channels: int = Field(32, ge=1, description="of the 4×4 latent")
    skip_channels: int = Field(4, ge=1, description="of the features that pass by the latent, at half the pooled size")
    style: int = Field(64, ge=1, description="length of the style vector")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        channels, height, width = self.image
        if channels < 1 or height != width or height != 4 * 2 ** (len(self.widths) - 1):
            raise ValueError(f"{len(self.widths)} widths are for square images of {4 * 2 ** (len(self.widths) - 1)}")
        if self.pooled not in [4 * 2**level for level in range(1, len(self.widths))]:
            raise ValueError("pool must leave at least 8×8 pixels, and a power of two of them")
        return self

    @property
    def pooled(self) -> int:
        """Side of the images that are encoded."""
        return self.image[1] // self.pool if self.image[1] % self.pool == 0 else 0

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        return (self.latent_channels, 4, 4)
