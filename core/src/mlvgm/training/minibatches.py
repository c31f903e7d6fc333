"""Minibatches as a function of seed and step, and whether images fit a network."""

from __future__ import annotations

from functools import lru_cache

from torch import Tensor

from mlvgm.errors import InputError
from mlvgm.noise import Keys, uniform
from mlvgm.protocols.data import DataInfo, Dataset
from mlvgm.reading import read


@lru_cache(maxsize=2)  # every step of an epoch asks
def order(size: int, *, seed: int, epoch: int, purpose: str = "order") -> tuple[int, ...]:
    """The sample ids 0 … size − 1 in the order of ``epoch``."""
    (chance,) = uniform(Keys.of(seed=seed, purpose=purpose, samples=[epoch]), "order", (size,))
    # Numbers repeat in a large set, and an unstable sort orders those by machine.
    return tuple(chance.argsort(stable=True).tolist())


def minibatch(data: Dataset, *, step: int, batch: int, seed: int, rows: slice = slice(None)) -> tuple[Tensor, Tensor]:
    """Images (rows, C, H, W) in [0, 1] and labels (rows,) of the train split for ``step``.

    Every epoch is a fresh permutation; a batch may straddle two.
    """
    size = data.size("train")
    ids: list[int] = []
    for epoch in range(step * batch // size, ((step + 1) * batch - 1) // size + 1):
        first = max(step * batch - epoch * size, 0)
        ids += order(size, seed=seed, epoch=epoch)[first : (step + 1) * batch - epoch * size]
    return read(data, "train", ids[rows])


def check_image(data: DataInfo, network: str, image: tuple[int, int, int], *, option: str) -> None:
    """Refuse data that ``network``, of images of size ``image``, cannot be trained on.

    Raises:
        InputError: they are of another size; ``option`` is the one to set.
    """
    if tuple(data.image.shape) != tuple(image):
        theirs, ours = ("×".join(map(str, size)) for size in (data.image.shape, image))
        raise InputError(f"{data.name} has {theirs} images, the {network} is for {ours}", hint=f"set train.{option}")
