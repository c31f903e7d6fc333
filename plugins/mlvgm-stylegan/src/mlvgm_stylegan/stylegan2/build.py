"""The ``stylegan2`` generator: how it is built."""

from __future__ import annotations

from pathlib import Path

import mlvgm_stylegan
from mlvgm.weights.load import generator_weights
from mlvgm_stylegan.encoders.encoder import StyleEncoder
from mlvgm_stylegan.stylegan2.config import StyleGAN2Config
from mlvgm_stylegan.stylegan2.fold import fold
from mlvgm_stylegan.stylegan2.generator import (
    ConditionalStyleGAN2,
    EncodingStyleGAN2,
    StyleGAN2Generator,
    StyleGAN2Sampling,
)
from mlvgm_stylegan.stylegan2.network import StyleGAN2
from mlvgm_stylegan.stylegan2.weights import FORMAT, assemble


def stylegan2(config: StyleGAN2Config) -> StyleGAN2Generator:
    """The generator that ``config`` describes; it encodes where the weights come with an encoder.

    Raises:
        InputError: the weights are missing, corrupt or of something else.
        ConfigError: a sampling option is not of this model.
    """
    model, encoder = load_weights(config.weights, config=config.config)
    sampling = StyleGAN2Sampling(config.psi, config.cutoff, config.noise_mode)
    if encoder is not None:
        return EncodingStyleGAN2(fold(model), encoder, sampling=sampling)
    kind = ConditionalStyleGAN2 if model.architecture.classes else StyleGAN2Generator
    return kind(fold(model), sampling=sampling)


def load_weights(name: str, *, config: Path | None = None) -> tuple[StyleGAN2, StyleEncoder | None]:
    """Network and encoder of the weights called ``name``; see :class:`StyleGAN2Config`.

    Raises:
        InputError: nothing has that name, or the file is not usable.
    """
    file = generator_weights(mlvgm_stylegan.stylegan2_generator, name, format=FORMAT, config=config)
    return assemble(file, Path(name))
