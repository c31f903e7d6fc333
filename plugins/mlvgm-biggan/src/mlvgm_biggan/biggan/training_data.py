"""What a step of training sees, real and drawn: pure functions of the seed and the step's number."""

from __future__ import annotations

import torch
from torch import Tensor

from mlvgm.errors import InputError
from mlvgm.noise import Keys, normal, uniform
from mlvgm.protocols.data import Dataset
from mlvgm_biggan.biggan.architecture import BigGANArchitecture


def check_fit(data: Dataset, architecture: BigGANArchitecture) -> None:
    """Refuse data that the architecture cannot be trained on.

    Raises:
        InputError: only a sample of the data is here, or images or classes are others than the architecture's.
    """
    info = data.info
    if info.sample:
        message = f"{info.name}: only a sample of the test images is present, which is not for training"
        raise InputError(message, hint="fetch the full data set")
    if tuple(info.image.shape) != architecture.image:
        theirs, ours = ("×".join(map(str, shape)) for shape in (info.image.shape, architecture.image))
        raise InputError(f"{info.name} has {theirs} images, the architecture is for {ours}")
    if info.classes != architecture.classes:
        raise InputError(f"{info.name} has {info.classes} classes, the architecture is for {architecture.classes}")


def training_batch(data: Dataset, *, step: int, batch: int, seed: int) -> tuple[Tensor, Tensor]:
    """Images (B, C, H, W) in [0, 1] and labels (B,); every epoch is a fresh permutation, a batch may straddle two."""
    size = data.size("train")
    ids: list[int] = []
    for epoch in range(step * batch // size, ((step + 1) * batch - 1) // size + 1):
        order = uniform(Keys.of(seed=seed, purpose="order", samples=[epoch]), "order", (size,))[0].argsort()
        first = max(step * batch - epoch * size, 0)
        ids += order[first : (step + 1) * batch - epoch * size].tolist()
    return data.batch("train", ids)


def draw(
    architecture: BigGANArchitecture, keys: Keys, *, count: int, device: str | torch.device
) -> tuple[list[Tensor], Tensor]:
    """Chunks of z and class numbers of ``count`` images, from the first row of ``keys``."""
    sizes = enumerate(architecture.chunks)
    chunks = [normal(keys[:1], f"z{i}", (count, size))[0].to(device) for i, size in sizes]
    classes = (uniform(keys[:1], "class", (count,))[0] * architecture.classes).long()
    return chunks, classes.to(device)
