"""The ``biggan-deep`` generator: how it is built."""

from __future__ import annotations

from pathlib import Path

from mlvgm.weights.load import assemble, load_weights
from mlvgm.weights.options import read_options
from mlvgm_biggan.deep.architecture import BigGANDeepArchitecture
from mlvgm_biggan.deep.config import BigGANDeepConfig
from mlvgm_biggan.deep.generator import BigGANDeepGenerator, BigGANDeepSampling
from mlvgm_biggan.deep.loader import FORMAT, convert
from mlvgm_biggan.deep.network import BigGANDeep


def biggan_deep(config: BigGANDeepConfig) -> BigGANDeepGenerator:
    """The generator that ``config`` describes.

    Raises:
        InputError: the weights are missing, corrupt or of something else.
        ConfigError: the label is not one of the classes.
    """
    file = load_weights(
        config.weights, shipped=(), formats=(FORMAT,), convert=convert, options=read_options(config.config)
    )
    network = assemble(file, Path(config.weights), architecture=BigGANDeepArchitecture, network=BigGANDeep)
    sampling = BigGANDeepSampling(config.truncation, config.noise, config.label)
    return BigGANDeepGenerator(network, sampling=sampling)
