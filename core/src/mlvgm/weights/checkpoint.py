"""Training checkpoints: everything the next step depends on, written whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import torch

from mlvgm.errors import InputError
from mlvgm.files import write_bytes


def save_checkpoint(path: Path, state: Mapping[str, Any], *, identity: Mapping[str, object]) -> None:
    """Write ``state`` (tensors, numbers, strings and containers of them).

    Args:
        path: overwritten.
        state: what the next step needs.
        identity: what makes this training this training (configuration, seed, data), as plain values.
    """
    content = BytesIO()
    torch.save({"identity": dict(identity), **state}, content)
    write_bytes(path, content.getvalue())


def load_checkpoint(path: Path, *, identity: Mapping[str, object]) -> dict[str, Any]:
    """The state in ``path``, executing nothing in it.

    Raises:
        InputError: the file is unreadable, or belongs to another training.
    """
    hint = "train into another folder, or without resuming"
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        found = state.pop("identity")
    except Exception as error:  # a damaged pickle fails with whatever it happens to contain
        raise InputError(f"{path}: not a readable training checkpoint", hint=hint) from error
    different = sorted(name for name in {*identity, *found} if identity.get(name) != found.get(name))
    if different:
        changes = ", ".join(f"{name} {found.get(name)} → {identity.get(name)}" for name in different)
        raise InputError(f"{path} is a checkpoint of another training: {changes}", hint=hint)
    return state
