"""The ``biggan`` generator: its configuration, and how it is built."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

import mlvgm_biggan
from mlvgm.weights.load import load_weights
from mlvgm.weights.options import read_options
from mlvgm_biggan.biggan.generator import BigGANGenerator, BigGANSampling, EncodingBigGANGenerator
from mlvgm_biggan.biggan.loader import convert
from mlvgm_biggan.biggan.weights import FORMAT, assemble


class BigGANConfig(BaseModel):
    """Options of ``--generator biggan``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weights: str = Field(
        "fashion-mnist",
        description="shipped weights, a file that training wrote, or a checkpoint of BigGAN or BigBiGAN (.pth, or its "
        "state dict as .safetensors)",
    )
    config: Path | None = Field(
        None,
        description="JSON or YAML of a checkpoint's constructor arguments, for what its tensors do not tell "
        "(BN_eps, SN_eps)",
    )
    truncation: float | None = Field(None, gt=0, description="draws satisfy |z| ≤ truncation; null is off")
    label: int | None = Field(
        None,
        ge=0,
        description="class of every draw; null draws one for each, or is 0 where the weights are those of a BigBiGAN",
    )


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
    label = network.architecture.label if config.label is None else config.label
    sampling = BigGANSampling(config.truncation, label)
    if encoder is None:
        return BigGANGenerator(network, sampling=sampling)
    return EncodingBigGANGenerator(network, encoder, sampling=sampling)
