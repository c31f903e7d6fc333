"""NVAE weights files: the architecture is JSON in the metadata, and the tensors fit it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from mlvgm.weights.file import WeightsFile, read_weights, write_weights
from mlvgm.weights.load import assemble
from mlvgm_nvae.architecture import NVAEArchitecture
from mlvgm_nvae.network import NVAE

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
    return network_of(read_weights(path, sha256=sha256, format=FORMAT), path)


def network_of(content: WeightsFile, path: Path) -> NVAE:
    """The network that a weights file describes, in evaluation mode.

    Raises:
        InputError: its architecture is invalid, or tensors are missing, superfluous, not finite, or of another shape.
    """
    model = assemble(content, path, architecture=NVAEArchitecture, network=NVAE)
    return model.to(memory_format=torch.channels_last)
