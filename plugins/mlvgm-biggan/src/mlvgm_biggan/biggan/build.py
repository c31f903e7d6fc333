"""The ``biggan`` generator: how it is built."""

from __future__ import annotations

from pathlib import Path

import mlvgm_biggan
from mlvgm.weights.load import load_weights
from mlvgm.weights.options import read_options
from mlvgm_biggan.biggan.config import BigGANConfig
from mlvgm_biggan.biggan.generator import BigGANGenerator, BigGANSampling, EncodingBigGANGenerator
from mlvgm_biggan.biggan.loader import convert
from mlvgm_biggan.biggan.weights import FORMAT, assemble


def biggan(config: BigGANConfig) -> BigGANGenerator:
    """The generator that ``config`` describes; it encodes if its weights have an encoder.

    Raises:
        InputError: the weights are missing, corrupt or of something else.
        ConfigError: the label is not one of the classes.
    """
    file = load_weights(
        config.weights,
        shipped=mlvgm_biggan.biggan_generator.weights,
        formats=(FORMAT,),
        convert=convert,
        options=read_options(config.config),
    )
    network, encoder = assemble(file, Path(config.weights))
    label = network.architecture.label if config.label == "weights" else config.label
    sampling = BigGANSampling(config.truncation, label)
    if encoder is None:
        return BigGANGenerator(network, sampling=sampling)
    return EncodingBigGANGenerator(network, encoder, sampling=sampling)
