"""Randomness of other people's modules: the global generators, seeded by keys and put back."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy
import torch
from torch import Tensor

from mlvgm.noise import Keys


@contextmanager
def seeded(keys: Keys, device: torch.device) -> Iterator[None]:
    """The global generators of torch, NumPy and Python seeded by ``keys`` inside, and as they were outside."""
    text = f"{keys.seed}|{keys.purpose}|{keys.rows}".encode()
    seed = int.from_bytes(hashlib.blake2b(text, digest_size=7).digest(), "little")
    cuda = [device.index or 0] if device.type == "cuda" else []
    python, numbers = random.getstate(), numpy.random.get_state()
    with torch.random.fork_rng(devices=cuda):
        try:
            torch.default_generator.manual_seed(seed)
            for index in cuda:
                with torch.cuda.device(index):
                    torch.cuda.manual_seed(seed)
            random.seed(seed)
            numpy.random.seed(seed % 2**32)
            yield
        finally:
            random.setstate(python)
            numpy.random.set_state(numbers)


def drawn(answer: Callable[[Tensor], Tensor], images: Tensor, keys: Keys, *, alone: bool) -> Tensor:
    """One draw for each row: what a random module answers, with the noise that ``keys`` name.

    Args:
        answer: images → logits, with noise from the global generators.
        images: (N, C, H, W).
        keys: N rows.
        alone: each row is a call of its own, so that its noise depends on its key only and no two rows share any. In
            one call for all, noise depends on the batch, and rows are independent only if the module draws for each.

    Shape:
        output: (N, K).
    """
    if not alone:
        with seeded(keys, images.device):
            return answer(images)
    rows = []
    for row in range(len(images)):
        with seeded(keys[[row]], images.device):
            rows.append(answer(images[row : row + 1]))
    return torch.cat(rows)
