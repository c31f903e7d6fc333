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
    parts = nn.ModuleDict({"generator": network} if encoder is None else {"generator": network, "encoder": encoder})
    architectures = {name: part.architecture.model_dump(mode="json") for name, part in parts.items()}
    architecture = json.dumps({"encoder": None, **architectures})
    write_weights(path, WeightsFile(FORMAT, architecture, parts.state_dict(), note or {}))


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

    def make() -> nn.ModuleDict:
        parts: dict[str, nn.Module] = {"generator": BigGAN(generator)}
        return nn.ModuleDict(parts if light is None else {**parts, "encoder": LightEncoder(light)})

    parts = filled(make, file.tensors, path)
    # A third faster on CPUs.
    parts = parts.to(memory_format=torch.channels_last)
    return parts["generator"], parts["encoder"] if light is not None else None
