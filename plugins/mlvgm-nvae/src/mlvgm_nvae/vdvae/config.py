"""The ``vdvae`` generator: its configuration, and how it is built."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from mlvgm.errors import ConfigError
from mlvgm.weights.load import assemble, load_weights
from mlvgm.weights.options import read_options
from mlvgm_nvae.generator import HierarchicalGenerator, HierarchicalSampling
from mlvgm_nvae.vdvae.architecture import VDVAEArchitecture
from mlvgm_nvae.vdvae.loader import FORMAT, convert
from mlvgm_nvae.vdvae.network import VDVAE


class VDVAEConfig(BaseModel):
    """Options of ``--generator vdvae``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weights: str = Field("", description="a checkpoint of openai/vdvae (.th), or a file `mlvgm weights convert` made")
    config: Path | None = Field(
        None, description="JSON or YAML with the training's hparams, where the checkpoint is of no published model"
    )
    temperature: float = Field(1.0, gt=0, le=2, description="factor on every prior standard deviation")
    likelihood: Literal["mean", "sample"] = Field(
        "mean", description="images are the pixel distribution's mean, or samples of it"
    )


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
