"""The shape of an ND-VAE."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class NDVAEArchitecture(BaseModel):
    """Sizes of the network; the defaults are for 32×32 grey images."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    image: tuple[int, int, int] = Field((1, 32, 32), description="channels, height and width of the images")
    stem: int = Field(24, ge=1, description="channels at half the size")
    widths: tuple[int, ...] = Field(
        (64, 48),
        min_length=1,
        description="channels of each scale, coarse → fine; the finest has a quarter of the image's size",
    )
    groups: int = Field(2, ge=1, description="latents of each scale")
    cells: int = Field(1, ge=1, description="residual cells before each latent, in encoder and decoder")
    latent_channels: int = Field(12, ge=1, description="of each latent")
    mixtures: int = Field(3, ge=1, description="logistics in the mixture of a pixel")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        factor = 4 * 2 ** (len(self.widths) - 1)
        if min(self.image) < 1 or self.image[1] % factor or self.image[2] % factor:
            raise ValueError(f"{len(self.widths)} scales are for images whose sides are multiples of {factor}")
        return self

    @property
    def latent_shapes(self) -> tuple[tuple[int, int, int], ...]:
        """Coarse → fine."""
        _, height, width = self.image
        factors = [4 * 2**level for level in reversed(range(len(self.widths)))]
        return tuple((self.latent_channels, height // f, width // f) for f in factors for _ in range(self.groups))
