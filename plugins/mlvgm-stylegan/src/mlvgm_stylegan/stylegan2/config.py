"""The ``stylegan2`` generator: its configuration, and how it is built."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

import mlvgm_stylegan
from mlvgm.weights.load import load_weights
from mlvgm.weights.options import read_options
from mlvgm_stylegan.stylegan2.fold import fold
from mlvgm_stylegan.stylegan2.generator import (
    ConditionalStyleGAN2,
    EncodingStyleGAN2,
    StyleGAN2Generator,
    StyleGAN2Sampling,
)
from mlvgm_stylegan.stylegan2.loaders.convert import convert
from mlvgm_stylegan.stylegan2.weights import FORMAT, assemble


class StyleGAN2Config(BaseModel):
    """Options of ``--generator stylegan2``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weights: str = Field(
        "fashion-mnist",
        description="shipped weights, a file that training or `mlvgm weights convert` wrote, or a checkpoint of NVlabs "
        "(.pkl), rosinality, e4e or Style-Transformer (.pt)",
    )
    config: Path | None = Field(
        None, description="JSON or YAML with constructor arguments, for what a bare state dict does not tell"
    )
    psi: float = Field(1.0, description="truncation of fresh styles towards the average style; 1 is off")
    cutoff: int | None = Field(None, ge=0, description="number of coarse styles that are truncated; all if not given")
    noise_mode: Literal["const", "random", "none"] = Field(
        "const", description="noise images: stored, drawn for each image, or absent"
    )


def stylegan2(config: StyleGAN2Config) -> StyleGAN2Generator:
    """The generator that ``config`` describes; it encodes where the weights come with an encoder.

    Raises:
        InputError: the weights are missing, corrupt or of something else.
        ConfigError: a sampling option is not of this model.
    """
    file = load_weights(
        config.weights,
        shipped=mlvgm_stylegan.stylegan2_generator.weights,
        formats=(FORMAT,),
        convert=convert,
        options=read_options(config.config),
    )
    model, encoder = assemble(file, Path(config.weights))
    model = fold(model)
    sampling = StyleGAN2Sampling(config.psi, config.cutoff, config.noise_mode)
    if encoder is not None:
        return EncodingStyleGAN2(model, encoder, sampling=sampling)
    if model.architecture.classes:
        return ConditionalStyleGAN2(model, sampling=sampling)
    return StyleGAN2Generator(model, sampling=sampling)
