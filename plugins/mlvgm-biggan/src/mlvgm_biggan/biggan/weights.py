"""The weights file of a BigGAN, with its encoder if it has one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from mlvgm.errors import InputError
from mlvgm.weights.architecture import described, parts_of
from mlvgm.weights.file import WeightsFile, filled, write_weights
from mlvgm_biggan.biggan.architecture import BigGANArchitecture
from mlvgm_biggan.biggan.network import BigGAN
from mlvgm_biggan.encoder.light import LightEncoder, LightEncoderArchitecture

FORMAT = "mlvgm-biggan/1"


def save(
    network: BigGAN, path: Path, *, encoder: LightEncoder | None = None, note: Mapping[str, str] | None = None
) -> None:
    """Write ``network``, which has no spectral norm any more, and its encoder to ``path``.

    Raises:
        InputError: the folder is missing, not writable or full.
    """
    parts: dict[str, BigGAN | LightEncoder] = {"generator": network}
    parts |= {} if encoder is None else {"encoder": encoder}
    architectures = {name: part.architecture.model_dump(mode="json") for name, part in parts.items()}
    architecture = json.dumps({"encoder": None, **architectures})
    write_weights(path, WeightsFile(FORMAT, architecture, nn.ModuleDict(parts).state_dict(), note or {}))


def assemble(file: WeightsFile, path: Path) -> tuple[BigGAN, LightEncoder | None]:
    """Generator and encoder of a weights file, in evaluation mode.

    Args:
        file: of format :data:`FORMAT`.
        path: where it is from, for messages.

    Raises:
        InputError: its architecture is not valid, or its tensors do not fit it.
    """
    first, second = parts_of(file, path, "generator", "encoder")
    generator = described(BigGANArchitecture, first, path)
    light = None if second is None else described(LightEncoderArchitecture, second, path)
    if light is not None and (light.image, light.dim_z, light.embedding) != (
        generator.image,
        sum(generator.chunks),
        generator.embedding,
    ):
        raise InputError(f"{path}: its encoder is for another generator")

    # Channels last is a third faster on CPUs.
    parts = filled(lambda: _Parts(generator, light), file.tensors, path).to(memory_format=torch.channels_last)
    return parts.generator, parts.encoder


class _Parts(nn.Module):
    """The networks of a file, under the names of its tensors."""

    def __init__(self, generator: BigGANArchitecture, light: LightEncoderArchitecture | None) -> None:
        super().__init__()
        self.generator = BigGAN(generator)
        self.encoder = None if light is None else LightEncoder(light)
