"""The ``stylegan2`` generator: how it is built."""

from __future__ import annotations

from pathlib import Path

import mlvgm_stylegan
from mlvgm.weights.load import load_weights
from mlvgm.weights.options import read_options
from mlvgm_stylegan.stylegan2.config import StyleGAN2Config
from mlvgm_stylegan.stylegan2.fold import fold
from mlvgm_stylegan.stylegan2.generator import (
    ConditionalStyleGAN2,
    EncodingStyleGAN2,
    StyleGAN2Generator,
    StyleGAN2Sampling,
)
from mlvgm_stylegan.stylegan2.loaders.convert import convert
from mlvgm_stylegan.stylegan2.weights import FORMAT, assemble


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
