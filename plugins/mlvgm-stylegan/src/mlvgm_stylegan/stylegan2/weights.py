"""StyleGAN2 in a weights file: the generator's tensors under ``generator.``, an encoder's under ``encoder.``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel
from torch import Tensor, nn

from mlvgm.errors import InputError, unknown
from mlvgm.weights.architecture import described, parts_of
from mlvgm.weights.file import WeightsFile, filled
from mlvgm_stylegan.stylegan2.architecture import StyleGAN2Architecture
from mlvgm_stylegan.stylegan2.network import StyleGAN2

if TYPE_CHECKING:
    from mlvgm_stylegan.encoders.e4e import E4E
    from mlvgm_stylegan.encoders.light import LightEncoder
    from mlvgm_stylegan.encoders.style_transformer import StyleTransformer

    Encoder = E4E | LightEncoder | StyleTransformer

FORMAT = "mlvgm-stylegan2/1"

ENCODERS = {
    "light": "mlvgm_stylegan.encoders.light:LightEncoder",
    "e4e": "mlvgm_stylegan.encoders.e4e:E4E",
    "style-transformer": "mlvgm_stylegan.encoders.style_transformer:StyleTransformer",
}


def architecture_json(generator: StyleGAN2Architecture, encoder: BaseModel | None = None) -> str:
    """The architecture in the file's metadata; an encoder's has a field ``kind``, a key of :data:`ENCODERS`."""
    dumped = None if encoder is None else encoder.model_dump(mode="json")
    return json.dumps({"generator": generator.model_dump(mode="json"), "encoder": dumped})


def contents(
    model: StyleGAN2, encoder: nn.Module | None = None, *, note: Mapping[str, str] | None = None
) -> WeightsFile:
    """What to write to a file for ``model`` and an encoder, whose ``architecture`` is a pydantic model."""
    tensors = {f"generator.{name}": tensor for name, tensor in model.state_dict().items()}
    architecture = None
    if encoder is not None:
        tensors |= {f"encoder.{name}": tensor for name, tensor in encoder.state_dict().items()}
        assert isinstance(encoder.architecture, BaseModel)
        architecture = encoder.architecture
    return WeightsFile(FORMAT, architecture_json(model.architecture, architecture), tensors, note or {})


def assemble(file: WeightsFile, path: Path) -> tuple[StyleGAN2, Encoder | None]:
    """The network in ``file``, and its encoder or None.

    Args:
        file: of :data:`FORMAT`.
        path: named in errors.

    Raises:
        InputError: its architecture is not valid, or its tensors do not fit it.
    """
    generator, encoder = parts_of(file, path, "generator", "encoder")
    architecture = described(StyleGAN2Architecture, generator, path)
    model = filled(lambda: StyleGAN2(architecture), below(file.tensors, "generator."), path)
    if encoder is None:
        return model, None
    if architecture.classes:
        raise InputError(f"{path}: an encoder for a class-conditional StyleGAN2, which no encoder supports")
    return model, filled(lambda: encoder_of(encoder, generator=architecture), below(file.tensors, "encoder."), path)


def encoder_of(architecture: Mapping[str, Any], *, generator: StyleGAN2Architecture) -> Encoder:
    """An encoder without weights.

    Raises:
        InputError: its kind is unknown, or it is not for ``generator``.
    """
    kind = str(architecture.get("kind"))
    if kind not in ENCODERS:
        raise unknown("kind of encoder", kind, ENCODERS, error=InputError)
    module, _, name = ENCODERS[kind].partition(":")
    found: type[Encoder] = getattr(import_module(module), name)
    return found.from_architecture(architecture, generator=generator)


def below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Entries whose names start with ``prefix``, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
