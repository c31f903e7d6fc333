"""The ``biggan-deep`` generator: how it is built."""

from __future__ import annotations

from pathlib import Path

import mlvgm_biggan
from mlvgm.weights.load import assemble, generator_weights
from mlvgm_biggan.deep.architecture import BigGANDeepArchitecture
from mlvgm_biggan.deep.config import BigGANDeepConfig
from mlvgm_biggan.deep.generator import BigGANDeepGenerator, BigGANDeepSampling
from mlvgm_biggan.deep.loader import FORMAT
from mlvgm_biggan.deep.network import BigGANDeep


def biggan_deep(config: BigGANDeepConfig) -> BigGANDeepGenerator:
    """The generator that ``config`` describes.

    Raises:
        InputError: the weights are missing, corrupt or of something else.
        ConfigError: the label is not one of the classes.
    """
    file = generator_weights(mlvgm_biggan.biggan_deep_generator, config.weights, format=FORMAT, config=config.config)
    model = assemble(file, Path(config.weights), architecture=BigGANDeepArchitecture, network=BigGANDeep)
    sampling = BigGANDeepSampling(truncation=config.truncation, noise=config.noise, label=config.label)
    return BigGANDeepGenerator(model, sampling=sampling)
