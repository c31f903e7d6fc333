"""The ``biggan-deep`` generator: its configuration, and how it is built."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from mlvgm.weights.load import assemble, load_weights
from mlvgm.weights.options import read_options
from mlvgm_biggan.deep.architecture import BigGANDeepArchitecture
from mlvgm_biggan.deep.generator import BigGANDeepGenerator, BigGANDeepSampling
from mlvgm_biggan.deep.loader import FORMAT, convert
from mlvgm_biggan.deep.network import BigGANDeep


class BigGANDeepConfig(BaseModel):
    """Options of ``--generator biggan-deep``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weights: str = Field(description="a converted file, or a checkpoint (pytorch_model.bin, or as .safetensors)")
    config: Path | None = Field(
        None, description="the checkpoint's config.json, for what its tensors do not tell (layers, eps)"
    )
    truncation: float = Field(1.0, gt=0, le=1, description="which batch-norm statistics are used")
    noise: Literal["normal", "truncated"] = Field(
        "normal",
        description="z is standard normal, or as in published samples: truncation × the standard normal within ±2",
    )
    label: int | None = Field(None, ge=0, description="class of every draw; null draws one for each")


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
