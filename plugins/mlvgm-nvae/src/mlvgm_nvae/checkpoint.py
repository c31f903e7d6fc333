"""Training checkpoints: everything the next step depends on, written atomically."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

from mlvgm.errors import InputError


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write ``state`` (tensors, numbers, strings and containers of them); the file appears whole or not at all."""
    partial = path.with_name(path.name + ".part")
    torch.save(state, partial)
    os.replace(partial, path)


def load_checkpoint(path: Path, *, config: str) -> dict[str, Any]:
    """The state in ``path``, executing nothing in it.

    Args:
        path: written by :func:`save_checkpoint`.
        config: the configuration as JSON; it must be the one the checkpoint was made with.

    Raises:
        InputError: the file is unreadable, or belongs to another configuration.
    """
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle fails with whatever it happens to contain
        raise InputError(f"{path}: not a readable checkpoint", hint="delete it to start afresh") from error
    if state.get("config") != config:
        message = f"{path}: belongs to a training with other options or another seed"
        raise InputError(message, hint="use the same options, or another folder")
    return state
