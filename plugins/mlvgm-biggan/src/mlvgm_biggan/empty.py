"""Networks whose tensors are about to be loaded: nothing is drawn for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import nn

Network = TypeVar("Network", bound=nn.Module)


def empty(make: Callable[[], Network]) -> Network:
    """The network of ``make`` in evaluation mode, with memory for its tensors but no values in it.

    Initialising a large network takes long, and would move the global random state.
    """
    with torch.device("meta"):
        network = make()
    return network.to_empty(device="cpu").eval()
