"""The ``nvae`` generator: how it is built."""

from __future__ import annotations

from pathlib import Path

import mlvgm_nvae
from mlvgm.weights.load import generator_weights
from mlvgm_nvae.config import TEMPERATURE, NVAEConfig
from mlvgm_nvae.fold import fold
from mlvgm_nvae.generator import HierarchicalGenerator, HierarchicalSampling
from mlvgm_nvae.network import NVAE
from mlvgm_nvae.weights import FORMAT, network_of


def nvae(config: NVAEConfig) -> HierarchicalGenerator:
    """The generator that ``config`` describes, folded for evaluation.

    Raises:
        InputError: the weights are missing, corrupt or of something else.
    """
    model = fold(load_weights(config.weights, temperature=config.temperature, config=config.config))
    return HierarchicalGenerator(model, sampling=HierarchicalSampling(config.temperature, config.likelihood))


def load_weights(name: str, *, temperature: float = TEMPERATURE, config: Path | None = None) -> NVAE:
    """The network called ``name``: a shipped name or a path.

    Args:
        name: see :class:`NVAEConfig`.
        temperature: which batch-norm statistics to take from a checkpoint that holds several.
        config: see :class:`NVAEConfig`.

    Raises:
        InputError: nothing has that name, or the file is not usable.
    """
    file = generator_weights(mlvgm_nvae.nvae, name, format=FORMAT, config=config, temperature=temperature)
    return network_of(file, Path(name))
