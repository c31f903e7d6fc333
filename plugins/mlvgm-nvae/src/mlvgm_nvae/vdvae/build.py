"""The ``vdvae`` generator: how it is built."""

from __future__ import annotations

from pathlib import Path

import mlvgm_nvae
from mlvgm.weights.load import assemble, generator_weights
from mlvgm_nvae.config import VDVAEConfig
from mlvgm_nvae.generator import HierarchicalGenerator, HierarchicalSampling
from mlvgm_nvae.vdvae.architecture import VDVAEArchitecture
from mlvgm_nvae.vdvae.loader import FORMAT
from mlvgm_nvae.vdvae.network import VDVAE


def vdvae(config: VDVAEConfig) -> HierarchicalGenerator:
    """The generator that ``config`` describes.

    Raises:
        InputError: the weights are missing, corrupt or of something else.
    """
    file = generator_weights(mlvgm_nvae.vdvae_generator, config.weights, format=FORMAT, config=config.config)
    model = assemble(file, Path(config.weights), architecture=VDVAEArchitecture, network=VDVAE)
    return HierarchicalGenerator(model, sampling=HierarchicalSampling(config.temperature, config.likelihood))
