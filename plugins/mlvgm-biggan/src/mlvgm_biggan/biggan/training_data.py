"""What a step of training sees, real and drawn: pure functions of the seed and the step's number."""

from __future__ import annotations

import torch
from torch import Tensor

from mlvgm.errors import InputError
from mlvgm.noise import Keys, normal, uniform
from mlvgm.protocols.data import Dataset
from mlvgm.training.minibatches import check_image
from mlvgm_biggan.biggan.architecture import BigGANArchitecture


def check_fit(data: Dataset, architecture: BigGANArchitecture) -> None:
    """Refuse data that the architecture cannot be trained on.

    Raises:
        InputError: images or classes are others than the architecture's.
    """
    info = data.info
    check_image(info, "architecture", architecture.image, option="architecture")
    if info.classes != architecture.classes:
        raise InputError(f"{info.name} has {info.classes} classes, the architecture is for {architecture.classes}")


def draw(
    architecture: BigGANArchitecture, keys: Keys, *, count: int, device: str | torch.device
) -> tuple[list[Tensor], Tensor]:
    """Chunks of z and class numbers of ``count`` images, from the first row of ``keys``."""
    sizes = enumerate(architecture.chunks)
    chunks = [normal(keys[:1], f"z{i}", (count, size))[0].to(device) for i, size in sizes]
    classes = (uniform(keys[:1], "class", (count,))[0] * architecture.classes).long()
    return chunks, classes.to(device)
