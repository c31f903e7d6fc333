"""What a BigGAN is made of, as data: every size and every choice in which its variants differ."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

PositiveInt = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]


class BigGANArchitecture(BaseModel):
    """Architecture of a :class:`~mlvgm_biggan.biggan.network.BigGAN` (arXiv 1809.11096, appendix B).

    Raises:
        pydantic.ValidationError: chunks do not fit the blocks, or attention is at a block that does not exist.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    chunks: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = Field(
        description="sizes of the chunks of z: the first makes the seed, each other one conditions a block; a single "
        "one is BigGAN without hierarchical z, whose blocks see the class only"
    )
    classes: PositiveInt = Field(description="how many classes there are")
    embedding: PositiveInt = Field(description="size of the class embedding that all blocks share")
    side: PositiveInt = Field(4, description="side of the seed; each block doubles it")
    widths: Annotated[tuple[PositiveInt, ...], Field(min_length=2)] = Field(
        description="channels of the seed, then of what each block makes"
    )
    attention: tuple[Count, ...] = Field((), description="numbers of the blocks that self-attention follows")
    image_channels: PositiveInt = Field(3, description="channels of the image")
    batch_norm_eps: float = Field(1e-5, gt=0, description="added to variances in the blocks; 1e-5 before the image")
    label: Count | None = Field(
        None, description="class of every image for weights trained without classes (0 in BigBiGAN); None is any class"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(self.chunks) not in (1, self.blocks + 1):
            raise ValueError(f"{len(self.chunks)} chunks for {self.blocks} blocks: expected 1 or {self.blocks + 1}")
        if len({*self.attention}) < len(self.attention) or any(i >= self.blocks for i in self.attention):
            raise ValueError(f"attention {self.attention} does not name distinct ones of {self.blocks} blocks")
        if any(self.widths[i + 1] < 8 for i in self.attention):
            raise ValueError("attention needs 8 channels or more")
        if self.label is not None and self.label >= self.classes:
            raise ValueError(f"label {self.label} is not one of {self.classes} classes")
        return self

    @property
    def blocks(self) -> int:
        return len(self.widths) - 1

    @property
    def hierarchical(self) -> bool:
        """Whether each block has a chunk of z for itself."""
        return len(self.chunks) > 1

    @property
    def image(self) -> tuple[int, int, int]:
        """Channels, height and width of the images."""
        return (self.image_channels, self.side << self.blocks, self.side << self.blocks)

    def condition(self, block: int) -> int:
        """Size of what conditions ``block``: the class embedding, then its chunk if it has one."""
        return self.embedding + (self.chunks[block + 1] if self.hierarchical else 0)


def light(
    image: tuple[int, int, int] = (1, 32, 32),
    *,
    classes: int = 10,
    chunks: tuple[int, ...] = (16, 16, 16, 16),
    widths: tuple[int, ...] = (96, 64, 32, 16),
    embedding: int = 32,
) -> BigGANArchitecture:
    """The small variant, for images of 32 × 32 unless ``widths`` has more or fewer blocks.

    >>> light().image, light().condition(0)
    ((1, 32, 32), 48)
    """
    channels, height, _ = image
    return BigGANArchitecture(
        chunks=chunks,
        classes=classes,
        embedding=embedding,
        side=height >> (len(widths) - 1),
        widths=widths,
        image_channels=channels,
    )
