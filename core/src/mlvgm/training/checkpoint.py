"""Checkpoints: everything the next step depends on, written whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import torch

from mlvgm.errors import InputError
from mlvgm.files import write_bytes

_FORMAT = 2
_HINT = "train into another folder, or without resuming"


def save_checkpoint(path: Path, state: Mapping[str, Any], *, identity: Mapping[str, object]) -> None:
    """Write ``state`` (tensors, numbers, strings and containers of them).

    Args:
        path: overwritten.
        state: what the next step needs.
        identity: what makes this training this training (configuration, seed, data), as plain values.
    """
    content = BytesIO()
    torch.save({"format": _FORMAT, "identity": dict(identity), "state": dict(state)}, content)
    write_bytes(path, content.getvalue())


def load_checkpoint(path: Path, *, identity: Mapping[str, object]) -> dict[str, Any]:
    """The state in ``path``, executing nothing in it.

    Raises:
        InputError: the file is unreadable, of another version of mlvgm, or belongs to another training.
    """
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
        found, version = stored["identity"], stored.get("format", 1)
    except Exception as error:  # a damaged pickle fails with whatever it happens to contain
        raise InputError(f"{path}: not a readable training checkpoint", hint=_HINT) from error
    if version != _FORMAT:
        message = f"{path} is a checkpoint of format {version}, this version of mlvgm goes on from format {_FORMAT}"
        raise InputError(message, hint=_HINT)
    different = sorted(name for name in {*identity, *found} if identity.get(name) != found.get(name))
    if different:
        changes = ", ".join(f"{name} {found.get(name)} → {identity.get(name)}" for name in different)
        raise InputError(f"{path} is a checkpoint of another training: {changes}", hint=_HINT)
    state: dict[str, Any] = stored["state"]
    return state
