"""The ``stylegan3`` generator: how it is built."""

from __future__ import annotations

from pathlib import Path

from mlvgm.errors import ConfigError
from mlvgm.weights.load import assemble, load_weights
from mlvgm.weights.options import read_options
from mlvgm_stylegan.stylegan3.architecture import StyleGAN3Architecture
from mlvgm_stylegan.stylegan3.config import StyleGAN3Config
from mlvgm_stylegan.stylegan3.generator import ConditionalStyleGAN3, StyleGAN3Generator, StyleGAN3Sampling
from mlvgm_stylegan.stylegan3.loader import FORMAT, convert
from mlvgm_stylegan.stylegan3.network import StyleGAN3


def stylegan3(config: StyleGAN3Config) -> StyleGAN3Generator:
    """The generator that ``config`` describes.

    Raises:
        ConfigError: no weights are named, or a sampling option is not of this model.
        InputError: the weights are missing, corrupt or of something else.
    """
    if not config.weights:
        raise ConfigError("stylegan3 ships no weights", hint="name a checkpoint with --set generator.weights=FILE")
    file = load_weights(
        config.weights, shipped=(), formats=(FORMAT,), convert=convert, options=read_options(config.config)
    )
    model = assemble(file, Path(config.weights), architecture=StyleGAN3Architecture, network=StyleGAN3)
    sampling = StyleGAN3Sampling(config.psi, config.cutoff)
    kind = ConditionalStyleGAN3 if model.architecture.classes else StyleGAN3Generator
    return kind(model, sampling=sampling)
