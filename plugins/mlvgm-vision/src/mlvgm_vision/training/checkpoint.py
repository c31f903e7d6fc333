"""Checkpoints: written whole or not at all, and resumed only by the training that wrote them."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path

import torch
from torch import nn

from mlvgm.errors import InputError
from mlvgm.files import write_bytes


def save_checkpoint(
    file: Path,
    identity: Mapping[str, object],
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    *,
    done: int,
    spent: float,
) -> None:
    """Write everything the next epoch needs.

    Args:
        file: overwritten.
        identity: what makes this training this training (configuration, seed, data).
        network: parameters and buffers.
        optimiser: its state.
        done: finished epochs.
        spent: CPU seconds so far.
    """
    content = BytesIO()
    state = {
        "identity": dict(identity),
        "network": network.state_dict(),
        "optimiser": optimiser.state_dict(),
        "done": done,
        "spent": spent,
    }
    torch.save(state, content)
    write_bytes(file, content.getvalue())


def load_checkpoint(
    file: Path, identity: Mapping[str, object], network: nn.Module, optimiser: torch.optim.Optimizer
) -> tuple[int, float]:
    """Restore network and optimiser in place from ``file``, if it exists.

    Returns:
        finished epochs and CPU seconds spent, (0, 0.0) without a file.

    Raises:
        InputError: the file is broken or belongs to another training.
    """
    if not file.exists():
        return 0, 0.0
    hint = "train into another folder, or without resuming"
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
        found = state["identity"]
    except (OSError, RuntimeError, EOFError, KeyError, TypeError, pickle.UnpicklingError) as error:
        raise InputError(f"expected a checkpoint, {file} does not load: {error}", hint=hint) from error
    different = sorted(name for name in {*identity, *found} if identity.get(name) != found.get(name))
    if different:
        changes = ", ".join(f"{name} {found.get(name)} → {identity.get(name)}" for name in different)
        raise InputError(f"{file} is a checkpoint of another training: {changes}", hint=hint)
    network.load_state_dict(state["network"])
    optimiser.load_state_dict(state["optimiser"])
    return int(state["done"]), float(state["spent"])
