"""Training data: whether they fit a network, which they are, and minibatches as a function of seed and step."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor

from mlvgm.errors import InputError
from mlvgm.noise import Keys, uniform
from mlvgm.protocols.data import DataInfo, Dataset
from mlvgm.reading import read

# Images by which a data set is known again.
_LOOKED_AT = 16


def minibatch(data: Dataset, *, step: int, batch: int, seed: int) -> tuple[Tensor, Tensor]:
    """Images (batch, C, H, W) in [0, 1] and labels (batch,) of the train split for ``step``.

    Every epoch is a fresh permutation; a batch may straddle two.
    """
    size = data.size("train")
    ids: list[int] = []
    for epoch in range(step * batch // size, ((step + 1) * batch - 1) // size + 1):
        (chance,) = uniform(Keys.of(seed=seed, purpose="order", samples=[epoch]), "order", (size,))
        first = max(step * batch - epoch * size, 0)
        # Numbers repeat in a large set, and an unstable sort orders those by machine.
        ids += chance.argsort(stable=True)[first : (step + 1) * batch - epoch * size].tolist()
    return read(data, "train", ids)


def check_data(data: DataInfo, network: str, image: tuple[int, int, int], *, option: str) -> None:
    """Refuse data that ``network``, of images of size ``image``, cannot be trained on.

    Raises:
        InputError: they are only a sample, or of another size; ``option`` is the one to set.
    """
    if data.sample:
        message = f"{data.name}: only a sample of the test images is present, which is not for training"
        raise InputError(message, hint="fetch the full data set")
    if tuple(data.image.shape) != tuple(image):
        theirs, ours = ("×".join(map(str, size)) for size in (data.image.shape, image))
        raise InputError(f"{data.name} has {theirs} images, the {network} is for {ours}", hint=f"set train.{option}")


def identity(data: Dataset) -> dict[str, object]:
    """What makes ``data`` these data, for a training that goes on with them: name, size, and some of the images.

    Two folders of images have one name; their pictures tell them apart, wherever they lie.
    """
    size = data.size("train")
    images, labels = read(data, "train", sorted({size * i // _LOOKED_AT for i in range(_LOOKED_AT)}) if size else [])
    content = hashlib.sha256((255 * images).round().to(torch.uint8).cpu().numpy().tobytes())
    content.update(labels.cpu().numpy().tobytes())
    return {"data": data.info.name, "images": size, "content": content.hexdigest()[:12]}
