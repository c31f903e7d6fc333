"""The ``stylegan3`` generator: how it is built."""

from __future__ import annotations

from pathlib import Path

import mlvgm_stylegan
from mlvgm.weights.load import assemble, generator_weights
from mlvgm_stylegan.stylegan3.architecture import StyleGAN3Architecture
from mlvgm_stylegan.stylegan3.config import StyleGAN3Config
from mlvgm_stylegan.stylegan3.generator import ConditionalStyleGAN3, StyleGAN3Generator, StyleGAN3Sampling
from mlvgm_stylegan.stylegan3.loader import FORMAT
from mlvgm_stylegan.stylegan3.network import StyleGAN3


def stylegan3(config: StyleGAN3Config) -> StyleGAN3Generator:
    """The generator that ``config`` describes.

    Raises:
        InputError: the weights are missing, corrupt or of something else.
        ConfigError: a sampling option is not of this model.
    """
    file = generator_weights(mlvgm_stylegan.stylegan3_generator, config.weights, format=FORMAT, config=config.config)
    model = assemble(file, Path(config.weights), architecture=StyleGAN3Architecture, network=StyleGAN3)
    kind = ConditionalStyleGAN3 if model.architecture.classes else StyleGAN3Generator
    return kind(model, sampling=StyleGAN3Sampling(config.psi, config.cutoff))
