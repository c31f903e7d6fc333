"""What a BigGAN-deep is made of, as data."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

PositiveInt = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]


class BigGANDeepArchitecture(BaseModel):
    """Architecture of a :class:`~mlvgm_biggan.deep.network.BigGANDeep` (arXiv 1809.11096, appendix B).

    Raises:
        pydantic.ValidationError: lists by block differ in length, channels do not fit, or attention is at no block.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    z: PositiveInt = Field(description="size of z, which every block reads")
    classes: PositiveInt = Field(description="how many classes there are")
    embedding: PositiveInt = Field(description="size of the class embedding")
    side: PositiveInt = Field(4, description="side of the seed")
    widths: Annotated[tuple[PositiveInt, ...], Field(min_length=2)] = Field(
        description="channels of the seed, then of what each block makes: as many as before, or half"
    )
    doubles: tuple[bool, ...] = Field(description="for each block, whether it doubles the side")
    attention: tuple[Count, ...] = Field((), description="numbers of the blocks that self-attention precedes")
    statistics: Annotated[int, Field(ge=2)] = Field(
        51, description="batch-norm statistics are stored for so many truncations, evenly from 0 to 1"
    )
    image_channels: PositiveInt = Field(3, description="channels of the image")
    batch_norm_eps: float = Field(1e-4, gt=0, description="added to variances")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(self.doubles) != self.blocks:
            raise ValueError(f"doubles has {len(self.doubles)} entries for {self.blocks} blocks")
        if any(after not in (before, before // 2) for before, after in pairwise(self.widths)):
            raise ValueError(f"widths {self.widths} must stay or be halved at each block")
        if any(width < 4 for width in self.widths[:-1]):
            raise ValueError("a block needs 4 channels or more")
        if len({*self.attention}) < len(self.attention) or any(i >= self.blocks for i in self.attention):
            raise ValueError(f"attention {self.attention} does not name distinct ones of {self.blocks} blocks")
        if any(self.widths[i] < 8 for i in self.attention):
            raise ValueError("attention needs 8 channels or more")
        return self

    @property
    def blocks(self) -> int:
        return len(self.widths) - 1

    def resolution(self, block: int) -> int:
        """Side of what ``block`` makes."""
        return self.side << sum(self.doubles[: block + 1])

    @property
    def image(self) -> tuple[int, int, int]:
        """Channels, height and width of the images."""
        return (self.image_channels, self.resolution(self.blocks - 1), self.resolution(self.blocks - 1))
