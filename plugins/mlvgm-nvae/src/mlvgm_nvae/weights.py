"""NVAE weights files: the architecture is JSON in the metadata, and the tensors fit it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from mlvgm.errors import InputError
from mlvgm.weights.architecture import described, metadata_of
from mlvgm.weights.file import WeightsFile, fill, fitting, read_weights, write_weights
from mlvgm_nvae.architecture import NVAEArchitecture
from mlvgm_nvae.network import NVAE, build

FORMAT = "mlvgm-nvae/1"


def save(model: NVAE, path: Path, *, note: Mapping[str, str] | None = None) -> None:
    """Write ``model`` to ``path``; the file appears whole or not at all.

    Args:
        model: parameters and statistics are stored as float32, contiguous.
        path: a ``.safetensors`` file.
        note: further metadata.
    """
    write_weights(path, WeightsFile(FORMAT, model.architecture.model_dump_json(), model.state_dict(), note or {}))


def load(path: Path, *, sha256: str | None = None) -> NVAE:
    """The network in ``path``.

    Args:
        path: written by :func:`save`.
        sha256: expected checksum of the file.

    Raises:
        InputError: the file is missing, unreadable, no NVAE of ours, or not the expected one.
    """
    content = read_weights(path, sha256=sha256)
    if content.format != FORMAT:
        expected = f"{path}: expected safetensors with format '{FORMAT}' in its metadata"
        raise InputError(f"{expected}, got '{content.format}'", hint="convert published checkpoints first")
    return network_of(content, path)


def network_of(content: WeightsFile, path: Path) -> NVAE:
    """The network that a weights file describes.

    Raises:
        InputError: its architecture is invalid, or tensors are missing, superfluous, not finite, or of another shape.
    """
    architecture = described(NVAEArchitecture, metadata_of(content, path), path)
    fitting(lambda: NVAE(architecture), content.tensors, path)
    model = build(architecture, seed=0)
    fill(model, content.tensors, path)
    return model.to(memory_format=torch.channels_last)
