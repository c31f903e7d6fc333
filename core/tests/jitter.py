"""Another processor's rounding, imitated: every weight that is loaded moves by about one rounding, up or down.

Results move as they would elsewhere, hence a test that passes by bit equality with stored numbers, or whose tolerance
is too tight, fails here as it would there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from typing import Any
from zlib import crc32

import pytest
import torch
from torch import Tensor, nn


def jittered(tensors: Mapping[str, Any], *, seed: int) -> dict[str, Any]:
    """`tensors` times 1 ± 2⁻²⁴, rounded to float32; signs are random, and the same for equal names and shapes."""
    return {name: _moved(name, tensor, seed) for name, tensor in tensors.items()}


def _moved(name: str, tensor: Any, seed: int) -> Any:
    if not isinstance(tensor, Tensor) or tensor.dtype != torch.float32:
        return tensor
    draws = torch.Generator().manual_seed(seed + (crc32(name.encode()) << 16))
    signs = 2 * torch.randint(0, 2, tensor.shape, generator=draws) - 1
    return (tensor.detach().double() * (1 + 2.0**-24 * signs.double())).float()


@contextmanager
def jitter(seed: int) -> Iterator[None]:
    """Within it, whatever is loaded into a network is :func:`jittered`: all loaders end in `load_state_dict`."""
    load = nn.Module.load_state_dict

    def moved(self: nn.Module, state_dict: dict[str, Any], *args: Any, **options: Any) -> Any:
        tensors = copy(state_dict)  # with its attributes: the versions of modules
        tensors.update(jittered(state_dict, seed=seed))
        return load(self, tensors, *args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nn.Module, "load_state_dict", moved)
        yield
