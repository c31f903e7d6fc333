"""A small encoder for a class-conditional BigGAN: one image → z and a condition, without being told the class."""

from __future__ import annotations

from typing import Annotated, Literal, Self

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from mlvgm.latents import ImageSpec

Size = Annotated[int, Field(ge=1)]


class LightEncoderArchitecture(BaseModel):
    """Sizes of a :class:`LightEncoder`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["light"] = "light"
    image: tuple[Size, Size, Size] = Field(description="channels, height and width; height and width multiples of 8")
    dim_z: Size = Field(description="length of z")
    classes: Size = Field(description="of the generator")
    embedding: Size = Field(description="length of the generator's class embedding")
    widths: tuple[Size, Size, Size] = Field((48, 96, 128), description="channels at 1/2, 1/4 and 1/8 of the size")
    squeezed: Size = Field(48, description="channels that go into the linear layers")
    hidden: Size = Field(256, description="width of the linear layers")

    @model_validator(mode="after")
    def _divisible(self) -> Self:
        if self.image[1] % 8 or self.image[2] % 8:
            raise ValueError(f"height and width must be multiples of 8, came {self.image[1]} and {self.image[2]}")
        return self


class Block(nn.Module):
    """Residual block that halves the size (arXiv 1512.03385), with the averaged shortcut of arXiv 1812.01187."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(outputs)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Conv2d(inputs, outputs, 1)

    def forward(self, features: Tensor) -> Tensor:
        residual = self.second_norm(self.second(F.relu(self.first_norm(self.first(features)))))
        return F.relu(residual + self.shortcut(F.avg_pool2d(features, 2)))


class LightEncoder(nn.Module):
    """A convolution pyramid that predicts z, and the probability of each class.

    The condition is the mean class embedding under those probabilities, so it stays among the ones that the generator
    was trained with.

    Example:
        >>> encoder = build_encoder(
        ...     LightEncoderArchitecture(image=(1, 32, 32), dim_z=32, classes=10, embedding=16), seed=0
        ... )
        >>> z, condition = encoder.encode(torch.rand(2, 1, 32, 32))
        >>> z.shape, condition.shape
        (torch.Size([2, 32]), torch.Size([2, 16]))
    """

    embeddings: Tensor

    def __init__(self, architecture: LightEncoderArchitecture) -> None:
        super().__init__()
        self.architecture = architecture
        channels, height, width = architecture.image
        first, second, third = architecture.widths
        # Space to depth: no convolution runs at full size, where a CPU spends most.
        self.stem = nn.Conv2d(4 * channels, first, 3, padding=1)
        self.blocks = nn.Sequential(Block(first, second), Block(second, third))
        self.squeeze = nn.Conv2d(third, architecture.squeezed, 1)
        self.hidden = nn.Linear(architecture.squeezed * (height // 8) * (width // 8), architecture.hidden)
        self.z = nn.Linear(architecture.hidden, architecture.dim_z)
        self.logits = nn.Linear(architecture.hidden, architecture.classes)
        self.register_buffer("embeddings", torch.zeros(architecture.classes, architecture.embedding))

    @property
    def image(self) -> ImageSpec:
        return ImageSpec(*self.architecture.image)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """z (B, dim_z) and class logits (B, classes) of images (B, C, H, W) in [0, 1]."""
        pixels = F.pixel_unshuffle(2 * images - 1, 2).contiguous(memory_format=torch.channels_last)
        features = self.squeeze(self.blocks(F.relu(self.stem(pixels))))
        hidden = F.relu(self.hidden(F.relu(features).flatten(1)))
        return self.z(hidden), self.logits(hidden)

    def condition(self, logits: Tensor) -> Tensor:
        """Mean class embedding (B, E) under the probabilities of ``logits`` (B, classes)."""
        return logits.softmax(1) @ self.embeddings

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """z (B, dim_z) and condition embedding (B, E) of images (B, C, H, W) in [0, 1]."""
        z, logits = self(images)
        return z, self.condition(logits)


def build_encoder(architecture: LightEncoderArchitecture, *, seed: int) -> LightEncoder:
    """An encoder with fresh parameters from ``seed``; the global random state stays as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LightEncoder(architecture).to(memory_format=torch.channels_last)
