"""IR-SE-50, the backbone that pSp, e4e and Style-Transformer share (arXiv 1801.07698, 1709.01507)."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

PositiveInt = Annotated[int, Field(ge=1)]
PerStage = tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt]


class IRSEArchitecture(BaseModel):
    """Sizes of an :class:`IRSE`. The defaults are those of IR-SE-50."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    channels: PositiveInt = Field(3, description="colours of the images")
    stem: PositiveInt = Field(64, description="channels of the first convolution, at full size")
    widths: PerStage = Field((64, 128, 256, 512), description="channels of each stage; every stage halves the size")
    units: PerStage = Field((3, 4, 14, 3), description="residual units of each stage")
    squeezed: PerStage = Field((4, 8, 16, 32), description="hidden units of the channel gates of each stage")


class ScaleShift(nn.Module):
    """Batch norm with fixed statistics: scale · x + shift for each channel.

    It stays where a padded convolution follows: the padding is zero after the norm, so the shift cannot go into the
    convolution.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(channels, 1, 1))
        self.shift = nn.Parameter(torch.zeros(channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.addcmul(self.shift, x, self.scale)


class ChannelGate(nn.Module):
    """Squeeze-and-excitation: a factor in (0, 1) for each channel, from the spatial means."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.squeeze = nn.Linear(channels, squeezed, bias=False)
        self.excite = nn.Linear(squeezed, channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Factors (N, C, 1, 1) of x (N, C, H, W)."""
        logits: Tensor = self.excite(self.squeeze(x.mean((2, 3))).relu())
        return logits.sigmoid()[:, :, None, None]


class ResidualUnit(nn.Module):
    """x ↦ shortcut(x) + gate · convolutions(x). The second convolution has the stride."""

    def __init__(self, inputs: int, outputs: int, *, squeezed: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.norm = ScaleShift(inputs)
        self.first = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.activation = nn.PReLU(outputs)
        self.second = nn.Conv2d(outputs, outputs, 3, stride=stride, padding=1)
        self.gate = ChannelGate(outputs, squeezed)
        self.shortcut = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        features = self.second(self.activation(self.first(self.norm(x))))
        # A pixel of every stride × stride: what a strided 1×1 convolution or pooling sees.
        kept = x[:, :, :: self.stride, :: self.stride]
        return torch.addcmul(self.shortcut(kept), features, self.gate(features))


class IRSE(nn.Module):
    """Stem and four stages of residual units. Batch norms have fixed statistics and are part of the convolutions."""

    def __init__(self, architecture: IRSEArchitecture) -> None:
        super().__init__()
        a = architecture
        self.stem = nn.Sequential(nn.Conv2d(a.channels, a.stem, 3, padding=1), nn.PReLU(a.stem))
        self.stages = nn.ModuleList()
        inputs = a.stem
        for outputs, units, squeezed in zip(a.widths, a.units, a.squeezed, strict=True):
            first = ResidualUnit(inputs, outputs, squeezed=squeezed, stride=2)
            rest = (ResidualUnit(outputs, outputs, squeezed=squeezed, stride=1) for _ in range(units - 1))
            self.stages.append(nn.Sequential(first, *rest))
            inputs = outputs

    def forward(self, images: Tensor) -> list[Tensor]:
        """Features after each stage, at 1/2, 1/4, 1/8 and 1/16 of the size of images (N, C, H, W) in [-1, 1]."""
        features, x = [], self.stem(images)
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features
