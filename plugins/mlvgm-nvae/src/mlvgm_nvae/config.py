"""Options of the generators ``nvae`` and ``vdvae``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mlvgm.weights.options import GeneratorConfig

# At which NVAE samples, and whose batch-norm statistics a checkpoint of several gives, unless told otherwise.
TEMPERATURE = 0.6


class VDVAEConfig(GeneratorConfig):
    """Options of ``--generator vdvae``."""

    weights: str = Field(description="a checkpoint of openai/vdvae (.th), or a file `mlvgm weights convert` made")
    temperature: float = Field(1.0, gt=0, le=2, description="factor on every prior standard deviation")
    likelihood: Literal["mean", "sample"] = Field(
        "mean", description="images are the pixel distribution's mean, or samples of it"
    )


class NVAEConfig(VDVAEConfig):
    """Options of ``--generator nvae``; ``config`` may tell ``num_x_bits``, ``res_dist`` and ``arch_instance``."""

    weights: str = Field(
        "denoising",
        description="shipped weights ('clean', 'denoising'), a file that training wrote, or a checkpoint of one of the "
        "two public code bases (.pt, or its state dict as .safetensors)",
    )
    temperature: float = Field(TEMPERATURE, gt=0, le=2, description="factor on every prior standard deviation")
