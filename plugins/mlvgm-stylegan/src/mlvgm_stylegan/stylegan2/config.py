"""Options of the generator ``stylegan2``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mlvgm_stylegan.stylegan3.config import StyleGAN3Config


class StyleGAN2Config(StyleGAN3Config):
    """Options of ``--generator stylegan2``."""

    weights: str = Field(
        "fashion-mnist",
        description="shipped weights, a file that training or `mlvgm weights convert` wrote, or a checkpoint of NVlabs "
        "(.pkl), rosinality, e4e or Style-Transformer (.pt)",
    )
    noise_mode: Literal["const", "random", "none"] = Field(
        "const", description="noise images: stored, drawn for each image, or absent"
    )
