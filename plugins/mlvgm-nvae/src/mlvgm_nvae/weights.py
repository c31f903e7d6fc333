"""The weights file: safetensors, with the architecture as JSON in its metadata."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from mlvgm.errors import InputError
from mlvgm_nvae.architecture import NVAEArchitecture
from mlvgm_nvae.network import NVAE, build

FORMAT = "mlvgm-nvae/1"

_AGAIN = "reinstall the plugin or fetch the file again"


def save(model: NVAE, path: Path, *, note: Mapping[str, str] | None = None) -> None:
    """Write ``model`` to ``path``; the file appears whole or not at all.

    Args:
        model: parameters and statistics are stored as float32, contiguous.
        path: a ``.safetensors`` file.
        note: further metadata.
    """
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    metadata = {**(note or {}), "format": FORMAT, "architecture": model.architecture.model_dump_json()}
    partial = path.with_name(path.name + ".part")
    save_file(state, partial, metadata=metadata)
    # safetensors creates files for their owner only.
    partial.chmod(0o644)
    os.replace(partial, path)


def load(path: Path, *, sha256: str | None = None) -> NVAE:
    """The network in ``path``.

    Args:
        path: written by :func:`save`.
        sha256: expected checksum of the file.

    Raises:
        InputError: the file is missing, unreadable, no NVAE of ours, or not the expected one.
    """
    if sha256 is not None:
        _verify(path, sha256)
    metadata, state = read_safetensors(path)
    if metadata.get("format") != FORMAT:
        expected = f"{path}: expected safetensors with format '{FORMAT}' in its metadata"
        raise InputError(f"{expected}, got '{metadata.get('format')}'", hint="convert published checkpoints first")
    try:
        architecture = NVAEArchitecture.model_validate_json(metadata["architecture"])
    except (KeyError, ValidationError) as error:
        raise InputError(f"{path}: its metadata holds no valid NVAE architecture", hint=_AGAIN) from error
    return assemble(architecture, state, path)


def assemble(architecture: NVAEArchitecture, state: Mapping[str, Tensor], path: Path) -> NVAE:
    """A network of ``architecture`` with the tensors ``state``, all of which must fit.

    Raises:
        InputError: tensors are missing, superfluous, or of another shape.
    """
    model = build(architecture, seed=0)
    expected = model.state_dict()
    problems = [f"missing {name}" for name in expected.keys() - state.keys()]
    problems += [f"unexpected {name}" for name in state.keys() - expected.keys()]
    problems += [
        f"{name} is {tuple(state[name].shape)} instead of {tuple(expected[name].shape)}"
        for name in expected.keys() & state.keys()
        if state[name].shape != expected[name].shape
    ]
    if problems:
        shown = "; ".join(sorted(problems)[:3])
        raise InputError(f"{path}: {len(problems)} tensors do not fit its architecture: {shown}", hint=_AGAIN)
    model.load_state_dict(state)
    return model.to(memory_format=torch.channels_last)


def read_safetensors(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Metadata and tensors of a safetensors file.

    Raises:
        InputError: it is missing or unreadable.
    """
    try:
        with safe_open(path, "pt") as file:
            return dict(file.metadata() or {}), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path}: expected a readable safetensors file, got: {error}", hint=_AGAIN) from error


def _verify(path: Path, sha256: str) -> None:
    try:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})", hint=_AGAIN) from error
    if found != sha256:
        raise InputError(f"{path}: expected sha256 {sha256[:12]}…, got {found[:12]}…", hint=_AGAIN)
