"""What both key layouts share: names inside a cell, and the order of mixture parameters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

State = Mapping[str, Tensor]


def below(state: State, prefix: str) -> dict[str, Tensor]:
    """Entries whose names start with ``prefix`` and a dot, without them."""
    start = prefix + "."
    return {name[len(start) :]: tensor for name, tensor in state.items() if name.startswith(start)}


def indices(names: Iterable[str], prefix: str) -> list[int]:
    """Sorted numbers N for which some name starts with ``prefix`` + N and ends there or goes on with a dot."""
    found = {name[len(prefix) :].split(".")[0] for name in names if name.startswith(prefix)}
    return sorted(int(number) for number in found if number.isdigit())


def count(names: Iterable[str], prefix: str) -> int:
    """How many numbers follow ``prefix``."""
    return len(indices(names, prefix))


def mixture_order(channels: int, mixtures: int, *, mixture_major: bool) -> Tensor:
    """Which of the source's head channels each of ours is.

    Ours: logits, then by colour the means, log-scales and coefficients of all components. ``mixture_major`` sources
    have by component the means, log-scales and coefficients of all colours. A single component needs no logit.
    """
    logits = torch.arange(mixtures if mixtures > 1 else 0)
    rest = torch.arange(mixtures * channels * 3) + mixtures
    if mixture_major:
        # (component, kind, colour) → (colour, kind, component)
        rest = rest.view(mixtures, 3, channels).permute(2, 1, 0).flatten()
    return torch.cat([logits, rest])


def reorder_head(state: dict[str, Tensor], order: Tensor, prefix: str = "decoder.head.1") -> None:
    """Permute the output channels of the head in place."""
    for name in (f"{prefix}.weight", f"{prefix}.gain", f"{prefix}.bias"):
        if name in state:
            state[name] = state[name][order]


def mixtures_of(outputs: int, channels: int) -> int:
    """Components of a head with ``outputs`` channels.

    Raises:
        ValueError: the head is of another kind.
    """
    if channels != 3 or outputs % 10:
        raise ValueError(f"a head of {outputs} channels for {channels} colours is no mixture of logistics")
    return outputs // 10
