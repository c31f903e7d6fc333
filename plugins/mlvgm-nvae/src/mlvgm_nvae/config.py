"""The ``nvae`` generator: its configuration, and how it is built."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

import mlvgm_nvae
from mlvgm.errors import InputError
from mlvgm_nvae.fold import fold
from mlvgm_nvae.generator import NVAEGenerator, NVAESampling
from mlvgm_nvae.loaders.containers import is_published, load_published
from mlvgm_nvae.network import NVAE
from mlvgm_nvae.weights import load


class NVAEConfig(BaseModel):
    """Options of ``--generator nvae``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weights: str = Field(
        "denoising",
        description="shipped weights ('clean', 'denoising'), a file that training wrote, or a checkpoint of one of the "
        "two public code bases (.pt, or its state dict as .safetensors)",
    )
    temperature: float = Field(0.6, gt=0, le=2, description="factor on every prior standard deviation")
    likelihood: Literal["mean", "sample"] = Field(
        "mean", description="images are the pixel distribution's mean, or samples of it"
    )


def nvae(config: NVAEConfig) -> NVAEGenerator:
    """The generator that ``config`` describes, folded for evaluation.

    Raises:
        InputError: the weights are missing, corrupt or of something else.
    """
    model = fold(load_weights(config.weights, temperature=config.temperature))
    return NVAEGenerator(model, sampling=NVAESampling(config.temperature, config.likelihood))


def load_weights(name: str, *, temperature: float | None = None) -> NVAE:
    """The network called ``name``: a shipped name or a path.

    Args:
        name: see :class:`NVAEConfig`.
        temperature: which batch-norm statistics to take from a checkpoint that holds several.

    Raises:
        InputError: nothing has that name, or the file is not usable.
    """
    shipped = {weights.name: weights for weights in mlvgm_nvae.nvae.weights}
    if name in shipped:
        package, _, file = shipped[name].file.partition(":")
        with resources.as_file(resources.files(package) / file) as path:
            return load(path, sha256=shipped[name].sha256 or None)
    path = Path(name).expanduser()
    if not path.exists():
        names = ", ".join(sorted(shipped))
        raise InputError(f"nvae weights '{name}': neither shipped ({names}) nor an existing file")
    return load_published(path, temperature=temperature) if is_published(path) else load(path)
