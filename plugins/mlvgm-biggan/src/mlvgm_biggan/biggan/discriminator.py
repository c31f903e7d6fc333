"""The discriminator of training, its features as a measure of similarity, and its file."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Annotated

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional as F

from mlvgm.weights.file import WeightsFile, read_weights, write_weights
from mlvgm.weights.load import assemble
from mlvgm_biggan.biggan.spectral_norm import fold, spectral_norm

FORMAT = "mlvgm-biggan-discriminator/1"


class DiscriminatorArchitecture(BaseModel):
    """Sizes of a :class:`Discriminator`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    channels: int = Field(ge=1, description="of the images")
    classes: int = Field(ge=1, description="that images are judged to be of")
    widths: Annotated[tuple[int, ...], Field(min_length=1)] = Field(
        description="channels at 1/2, 1/4, … of the size; the last block keeps its size"
    )


class Block(nn.Module):
    """Pre-activation residual block (arXiv 1603.05027); halves the size by averaging, or keeps it."""

    def __init__(self, inputs: int, outputs: int, *, down: bool) -> None:
        super().__init__()
        self.down = down
        # Widening in the second convolution costs half as much as in the first.
        self.first = nn.Conv2d(inputs, inputs, 3, padding=1)
        self.second = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.shortcut = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, features: Tensor) -> Tensor:
        residual = self.second(F.relu(self.first(F.relu(features))))
        if self.down:
            residual, features = F.avg_pool2d(residual, 2), F.avg_pool2d(features, 2)
        shortcut: Tensor = self.shortcut(features)
        result: Tensor = residual + shortcut
        return result


class Discriminator(nn.Module):
    """Projection discriminator: D(x, y) = ψ(φ(x)) + ⟨embedding(y), φ(x)⟩ (arXiv 1802.05637, equation 3).

    Space to depth comes first: no convolution runs at full size, where a CPU spends most.

    Example:
        >>> architecture = DiscriminatorArchitecture(channels=1, classes=10, widths=(8, 16))
        >>> discriminator = build_discriminator(architecture, seed=0)
        >>> discriminator(torch.zeros(2, 1, 32, 32), torch.tensor([0, 9])).shape
        torch.Size([2])
    """

    def __init__(self, architecture: DiscriminatorArchitecture) -> None:
        super().__init__()
        self.architecture = architecture
        widths = architecture.widths
        self.stem = nn.Conv2d(4 * architecture.channels, widths[0], 3, padding=1)
        self.blocks = nn.ModuleList([Block(inputs, outputs, down=True) for inputs, outputs in pairwise(widths)])
        self.blocks.append(Block(widths[-1], widths[-1], down=False))
        self.output = nn.Linear(widths[-1], 1)
        self.embedding = nn.Embedding(architecture.classes, widths[-1])

    def features(self, images: Tensor) -> list[Tensor]:
        """What the stem and each block make of images (B, C, H, W) in [−1, 1]."""
        pixels = F.pixel_unshuffle(images, 2).contiguous(memory_format=torch.channels_last)
        made = [self.stem(pixels)]
        for block in self.blocks:
            made.append(block(made[-1]))
        return made

    def forward(self, images: Tensor, classes: Tensor) -> Tensor:
        """How real images (B, C, H, W) in [−1, 1] look as members of ``classes`` (B,); (B,)."""
        pooled = F.relu(self.features(images)[-1]).sum((2, 3))
        score: Tensor = self.output(pooled).squeeze(1) + (self.embedding(classes) * pooled).sum(1)
        return score


def build_discriminator(architecture: DiscriminatorArchitecture, *, seed: int) -> Discriminator:
    """A discriminator with fresh orthogonal weights and spectral norm on all of them (arXiv 1802.05957).

    The global random state stays as it was.
    """
    layers = (nn.Conv2d, nn.Linear, nn.Embedding)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        discriminator = Discriminator(architecture)
        for module in discriminator.modules():
            if isinstance(module, layers):
                nn.init.orthogonal_(module.weight)
    return spectral_norm(discriminator, seed=seed, layers=layers).to(memory_format=torch.channels_last)


def save_discriminator(discriminator: Discriminator, path: Path) -> None:
    """Write ``discriminator`` with its spectral norm folded into plain weights."""
    tensors = fold(discriminator).state_dict()
    write_weights(path, WeightsFile(FORMAT, discriminator.architecture.model_dump_json(), tensors))


def load_discriminator(path: Path) -> Discriminator:
    """The frozen discriminator that :func:`save_discriminator` wrote to ``path``.

    Raises:
        InputError: the file is missing, damaged or of something else.
    """
    file = read_weights(path, format=FORMAT)
    discriminator = assemble(file, path, architecture=DiscriminatorArchitecture, network=Discriminator)
    return discriminator.requires_grad_(False).to(memory_format=torch.channels_last)
