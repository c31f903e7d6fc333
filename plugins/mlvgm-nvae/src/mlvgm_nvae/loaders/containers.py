"""Published checkpoint files: which code base wrote them, and which state dict in them is meant."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mlvgm.errors import InputError
from mlvgm_nvae.loaders import nvlabs, serez
from mlvgm_nvae.network import NVAE
from mlvgm_nvae.weights import FORMAT, assemble, read_safetensors

_LAYOUTS = (serez, nvlabs)
_PICKLES = (".pt", ".pth", ".ckpt", ".tar")
_TEMPERATURE = "state_dict_temp="


def is_published(path: Path) -> bool:
    """The file is a pickle container, or safetensors without our metadata and with a public key layout."""
    if path.suffix in _PICKLES:
        return True
    metadata, state = read_safetensors(path)
    return metadata.get("format") != FORMAT and any(layout.recognises(state) for layout in _LAYOUTS)


def load_published(path: Path, *, temperature: float | None = None) -> NVAE:
    """The network in a checkpoint of NVlabs/NVAE or SerezD/NVAE-from-scratch; nothing in it is executed.

    Args:
        path: a ``.pt`` container or the bare state dict as ``.safetensors``.
        temperature: which re-estimated batch-norm statistics to take where the container holds several.

    Raises:
        InputError: unreadable, another layout, or without weights for ``temperature``.
    """
    state = _state_dict(path, temperature) if path.suffix in _PICKLES else read_safetensors(path)[1]
    for layout in _LAYOUTS:
        if layout.recognises(state):
            try:
                architecture, converted = layout.convert(state)
            except (KeyError, ValueError, IndexError) as error:
                raise InputError(f"{path}: incomplete or unsupported NVAE checkpoint: {error}") from error
            return assemble(architecture, converted, path)
    message = f"{path}: expected an NVAE state dict with 'const_prior' or 'prior_ftr0', got {len(state)} other tensors"
    raise InputError(message, hint="only checkpoints of NVlabs/NVAE and SerezD/NVAE-from-scratch are known")


def _state_dict(path: Path, temperature: float | None) -> dict[str, Tensor]:
    container = _unpickle(path)
    if not isinstance(container, dict):
        raise InputError(f"{path}: expected a dict with a state dict in it, got {type(container).__name__}")
    available = sorted(key for key in container if isinstance(key, str) and key.startswith(_TEMPERATURE))
    wanted = f"{_TEMPERATURE}{float(temperature)}" if temperature is not None else None
    if wanted in available:
        chosen: Any = container[wanted]
    elif "state_dict" in container:
        chosen = container["state_dict"]
    elif temperature is None and available:
        chosen = container[available[0]]
    elif available:
        temperatures = ", ".join(key.removeprefix(_TEMPERATURE) for key in available)
        message = f"{path}: no batch-norm statistics for temperature {temperature}"
        raise InputError(message, hint=f"it has them for {temperatures}")
    else:
        chosen = container
    tensors = {name: value for name, value in chosen.items() if isinstance(value, Tensor)}
    return {name.removeprefix("module."): value for name, value in tensors.items()}


def _unpickle(path: Path) -> Any:
    try:
        # The published containers keep their options in a Namespace; it is a plain record.
        with torch.serialization.safe_globals([argparse.Namespace]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged or hostile pickle fails with whatever it happens to contain
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path}: expected a readable PyTorch checkpoint, got: {reason}") from error
