"""The shape of an ND-VAE, and its weights file."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

import mlvgm_robust
from mlvgm.weights.file import WeightsFile, write_weights
from mlvgm.weights.load import assemble, load_weights
from mlvgm_robust.competitors.nd_vae.network import NDVAE

FORMAT = "mlvgm-nd-vae/1"


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


def save(network: NDVAE, path: Path) -> None:
    """Write a network to a safetensors file."""
    write_weights(path, WeightsFile(FORMAT, network.architecture.model_dump_json(), network.state_dict()))


def load(name: str) -> NDVAE:
    """The network of shipped weights or of a file, frozen.

    Raises:
        InputError: nothing has that name, or it is damaged or of something else.
    """
    shipped = mlvgm_robust.nd_vae_purifier.weights
    file = load_weights(name, shipped=shipped, formats=(FORMAT,), convert=lambda container: None)
    network = assemble(file, Path(name), architecture=NDVAEArchitecture, network=NDVAE)
    return network.requires_grad_(False)
