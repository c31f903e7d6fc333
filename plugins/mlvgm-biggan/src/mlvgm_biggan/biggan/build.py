"""The ``biggan`` generator: how it is built."""

from __future__ import annotations

from pathlib import Path

import mlvgm_biggan
from mlvgm.weights.load import generator_weights
from mlvgm_biggan.biggan.config import BigGANConfig
from mlvgm_biggan.biggan.generator import BigGANGenerator, BigGANSampling, EncodingBigGANGenerator
from mlvgm_biggan.biggan.network import BigGAN
from mlvgm_biggan.biggan.weights import FORMAT, assemble
from mlvgm_biggan.encoder.light import LightEncoder


def biggan(config: BigGANConfig) -> BigGANGenerator:
    """The generator that ``config`` describes; it encodes if its weights have an encoder.

    Raises:
        InputError: the weights are missing, corrupt or of something else.
        ConfigError: the label is not one of the classes.
    """
    model, encoder = load_weights(config.weights, config=config.config)
    label = model.architecture.label if config.label == "weights" else config.label
    sampling = BigGANSampling(truncation=config.truncation, label=label)
    if encoder is None:
        return BigGANGenerator(model, sampling=sampling)
    return EncodingBigGANGenerator(model, encoder, sampling=sampling)


def load_weights(name: str, *, config: Path | None = None) -> tuple[BigGAN, LightEncoder | None]:
    """Network and encoder of the weights called ``name``; see :class:`BigGANConfig`.

    Raises:
        InputError: nothing has that name, or the file is not usable.
    """
    file = generator_weights(mlvgm_biggan.biggan_generator, name, format=FORMAT, config=config)
    return assemble(file, Path(name))
