"""What a VDVAE is made of, as data."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

PositiveInt = Annotated[int, Field(ge=1)]


class EncoderBlock(BaseModel):
    """One residual block of the encoder, followed by average pooling where ``down`` is more than 1."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    resolution: PositiveInt
    down: PositiveInt = 1


class DecoderBlock(BaseModel):
    """One latent. ``enters`` is the resolution whose features are upsampled into this one first, None for none."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    resolution: PositiveInt
    enters: PositiveInt | None = None


class VDVAEArchitecture(BaseModel):
    """Architecture of a :class:`~mlvgm_nvae.vdvae.network.VDVAE`.

    Raises:
        pydantic.ValidationError: a resolution without width, or blocks that do not follow each other.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    image: tuple[Literal[3], PositiveInt, PositiveInt] = Field(description="channels, height, width of the images")
    encoder_blocks: tuple[EncoderBlock, ...] = Field(min_length=1, description="fine → coarse")
    decoder_blocks: tuple[DecoderBlock, ...] = Field(min_length=1, description="coarse → fine, one for each latent")
    widths: dict[int, PositiveInt] = Field(description="feature channels at each resolution")
    bottlenecks: dict[int, PositiveInt] = Field(description="channels inside a block at each resolution")
    latent_channels: PositiveInt = Field(description="channels of every latent")
    biases: tuple[PositiveInt, ...] = Field(description="resolutions that start from a learned constant, ascending")
    mixtures: PositiveInt = Field(10, description="logistic components of each pixel")
    shift: float = Field(description="added to pixels in 0 … 255 before the encoder")
    scale: float = Field(description="factor on the shifted pixels")
    bits: Annotated[int, Field(ge=1, le=8)] = Field(8, description="bits of a colour in the likelihood")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        blocks: list[EncoderBlock | DecoderBlock] = [*self.encoder_blocks, *self.decoder_blocks]
        used = {block.resolution for block in blocks}
        missing = used - (self.widths.keys() & self.bottlenecks.keys())
        if missing:
            raise ValueError(f"no width for resolution {sorted(missing)}")
        resolution = self.image[1]
        for block in self.encoder_blocks:
            if block.resolution != resolution:
                raise ValueError(f"encoder block at {block.resolution} follows features at {resolution}")
            resolution = resolution // block.down
        previous: int | None = None
        for latent in self.decoder_blocks:
            if latent.enters is not None and latent.enters != previous:
                raise ValueError(f"decoder block at {latent.resolution} reads {latent.enters}, not the block before it")
            previous = latent.resolution
        if previous != self.image[1]:
            raise ValueError(f"the last decoder block is at {previous}, images at {self.image[1]}")
        return self

    @property
    def resolutions(self) -> tuple[int, ...]:
        """Of the decoder, coarse → fine."""
        return tuple(sorted({block.resolution for block in self.decoder_blocks}))

    @property
    def latent_shapes(self) -> tuple[tuple[int, int, int], ...]:
        """(channels, height, width) of each latent, coarse → fine."""
        return tuple((self.latent_channels, block.resolution, block.resolution) for block in self.decoder_blocks)

    @property
    def scale_of_latent(self) -> tuple[int, ...]:
        """Number of each latent's resolution, coarse → fine."""
        return tuple(self.resolutions.index(block.resolution) for block in self.decoder_blocks)


# More than any network has blocks: a slip in a count should not cost memory.
_MOST = 4096


def parse_encoder_blocks(text: str) -> tuple[EncoderBlock, ...]:
    """Blocks of the published notation: ``32x11`` is eleven blocks at 32, ``32d2`` one that halves.

    >>> [block.down for block in parse_encoder_blocks("32x2,32d2")]
    [1, 1, 2]

    Raises:
        ValueError: another notation.
    """
    blocks: list[EncoderBlock] = []
    for part in text.split(","):
        if "d" in part:
            resolution, down = map(int, part.split("d"))
            blocks.append(EncoderBlock(resolution=resolution, down=down))
        else:
            resolution, count = _repeated(part)
            blocks += [EncoderBlock(resolution=resolution)] * count
    return tuple(blocks)


def parse_decoder_blocks(text: str) -> tuple[DecoderBlock, ...]:
    """Blocks of the published notation: ``4m1`` is a block at 4 that features at 1 enter, ``4x2`` are two plain ones.

    >>> [(block.resolution, block.enters) for block in parse_decoder_blocks("1x1,4m1,4x1")]
    [(1, None), (4, 1), (4, None)]

    Raises:
        ValueError: another notation.
    """
    blocks: list[DecoderBlock] = []
    for part in text.split(","):
        if "m" in part:
            resolution, enters = map(int, part.split("m"))
            blocks.append(DecoderBlock(resolution=resolution, enters=enters))
        else:
            resolution, count = _repeated(part)
            blocks += [DecoderBlock(resolution=resolution)] * count
    return tuple(blocks)


def _repeated(part: str) -> tuple[int, int]:
    resolution, count = map(int, part.split("x"))
    if not 0 < count <= _MOST:
        raise ValueError(f"'{part}' says {count} blocks, expected 1 … {_MOST}")
    return resolution, count
