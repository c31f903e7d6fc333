"""Files of e4e and Style-Transformer: an encoder into W+ beside a rosinality decoder."""

from __future__ import annotations

from pathlib import Path

import torch
from pydantic import BaseModel
from torch import Tensor

from mlvgm.errors import InputError
from mlvgm.weights.container import Container, Converted
from mlvgm_stylegan.encoders.loaders import e4e, style_transformer
from mlvgm_stylegan.encoders.loaders.official import Official, read_official
from mlvgm_stylegan.stylegan2.architecture import StyleGAN2Architecture
from mlvgm_stylegan.stylegan2.loaders import rosinality
from mlvgm_stylegan.stylegan2.mapping import MappingNetwork
from mlvgm_stylegan.stylegan2.weights import FORMAT, architecture_json, below

State = dict[str, Tensor]

_LAYOUTS = (e4e, style_transformer)


def convert(container: Container) -> Converted | None:
    """Weights of encoder and generator, None for files without an encoder.

    The mean style becomes part of the encoder. A file without one gets the generator's, which is always the same (the
    reference estimates it from random styles on every start).

    Raises:
        InputError: the encoder has no decoder beside it.
        KeyError, ValueError: tensors are missing, superfluous or of an unsupported kind.
    """
    official = read_official(container)
    layout = next((layout for layout in _LAYOUTS if layout.recognises(official.encoder)), None)
    if layout is None:
        return None
    if not rosinality.recognises(official.decoder):
        raise InputError(
            f"{container.path}: an encoder of {layout.LAYOUT} without its StyleGAN2",
            hint="put the tensors of encoder and decoder, and latent_avg, into one file",
        )
    generator, decoder = rosinality.convert(official.decoder, official.options, average=official.average)
    state = {name: tensor.float() for name, tensor in official.encoder.items()}
    encoder, found = _encoder(state, official, generator, decoder, path=container.path)
    found["average"] = _average(official, generator, decoder["mapping.average"])
    if state:
        raise ValueError(f"{len(state)} unknown tensors of the encoder, the first is {min(state)}")
    ours = {f"generator.{name}": tensor for name, tensor in decoder.items()}
    ours |= {f"encoder.{name}": tensor for name, tensor in found.items()}
    return Converted(FORMAT, architecture_json(generator, encoder), ours, layout.LAYOUT)


def _encoder(
    state: State, official: Official, generator: StyleGAN2Architecture, decoder: State, *, path: Path
) -> tuple[BaseModel, State]:
    if e4e.recognises(official.encoder):
        return e4e.convert(state, official.options, generator=generator)
    mapping = MappingNetwork(generator)
    mapping.load_state_dict(below(decoder, "mapping."))
    with torch.no_grad():
        return style_transformer.convert(state, official.options, generator=generator, style=mapping, path=path)


def _average(official: Official, generator: StyleGAN2Architecture, mean_style: Tensor) -> Tensor:
    """The mean style of each layer; zero where codes do not start from it."""
    shape = (generator.num_ws, generator.w_dim)
    if not official.options.get("start_from_latent_avg", True):
        return torch.zeros(shape)
    average = mean_style if official.average is None else official.average.float()
    average = average.reshape(-1, average.shape[-1])
    if len(average) != 1 and len(average) < generator.num_ws:
        raise ValueError(f"latent_avg is of {len(average)} layers, the generator has {generator.num_ws}")
    return average[: generator.num_ws].expand(shape).clone()
