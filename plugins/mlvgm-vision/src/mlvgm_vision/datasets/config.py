"""Options of the data sets; apart from the data sets, so that options are checked without torch."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

TRAIN = 50_000  # of shapes: what test and validation leave of its 64,800 combinations


class FashionMNISTConfig(BaseModel):
    """Where Fashion-MNIST comes from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data_dir: Path | None = Field(
        None,
        description="folder with the four IDX files (or with a folder fashion-mnist that has them); searched first",
    )
    source: Literal["auto", "full", "sample"] = Field(
        "auto",
        description="full: all 70,000 images, downloaded if they are nowhere on this computer; sample: the 2,000 test "
        "images that ship with the package; auto: the full set if it is on this computer, else the sample",
    )


class ImageFolderConfig(BaseModel):
    """Where the images are, and what they become."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Path = Field(
        description="folder PATH/CLASS/*.png, or PATH/*.png without labels; with folders named train, validation or "
        "test in PATH each of these is a split, otherwise everything is the test split"
    )
    height: int | None = Field(
        None, ge=1, description="images are resized to, pixels; default: all have one size already"
    )
    width: int | None = Field(None, ge=1, description="images are resized to, pixels; given together with height")
    channels: Literal[1, 3] = Field(3, description="3 for colour, 1 for grey; images are converted")
    classes: tuple[str, ...] | None = Field(
        None, description="class folders in the order of the classifier's outputs; default: sorted by name"
    )
    licence: str = Field("unknown", description="SPDX identifier of the images' licence")

    @model_validator(mode="after")
    def _both_or_neither(self) -> Self:
        if (self.height is None) != (self.width is None):
            raise ValueError("height and width are given together")
        return self

    @property
    def size(self) -> tuple[int, int] | None:
        return None if self.height is None or self.width is None else (self.height, self.width)


class ShapesConfig(BaseModel):
    """How large the images are, and how many there are to train on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int = Field(32, ge=16, le=1024, description="height and width, pixels")
    train: int = Field(TRAIN, ge=1, le=TRAIN, description="images of the train split, the first of all that there are")
