"""The ``vdvae`` generator: how it is built."""

from __future__ import annotations

from pathlib import Path

from mlvgm.errors import ConfigError
from mlvgm.weights.load import assemble, load_weights
from mlvgm.weights.options import read_options
from mlvgm_nvae.generator import HierarchicalGenerator, HierarchicalSampling
from mlvgm_nvae.vdvae.architecture import VDVAEArchitecture
from mlvgm_nvae.vdvae.config import VDVAEConfig
from mlvgm_nvae.vdvae.loader import FORMAT, convert
from mlvgm_nvae.vdvae.network import VDVAE


def vdvae(config: VDVAEConfig) -> HierarchicalGenerator:
    """The generator that ``config`` describes.

    Raises:
        ConfigError: no weights are named.
        InputError: the weights are missing, corrupt or of something else.
    """
    if not config.weights:
        raise ConfigError("vdvae ships no weights", hint="name a checkpoint with --set generator.weights=FILE")
    file = load_weights(
        config.weights, shipped=(), formats=(FORMAT,), convert=convert, options=read_options(config.config)
    )
    model = assemble(file, Path(config.weights), architecture=VDVAEArchitecture, network=VDVAE)
    return HierarchicalGenerator(model, sampling=HierarchicalSampling(config.temperature, config.likelihood))
