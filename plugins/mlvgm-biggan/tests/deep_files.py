"""BigGAN-deep generators from files, and their images at a truncation."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

import mlvgm
from mlvgm.latents import Latents
from mlvgm_biggan.deep.generator import BigGANDeepGenerator


def load(folder: Path, **options: object) -> BigGANDeepGenerator:
    weights, config = str(folder / "weights.safetensors"), str(folder / "config.json")
    return mlvgm.load("generators/biggan-deep", **({"weights": weights, "config": config} | options))


def written(state: dict[str, Tensor], folder: Path, *, config: str | None = None) -> BigGANDeepGenerator:
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, folder / "weights.safetensors")
    if config is None:
        return load(folder, config=None)
    (folder / "config.json").write_text(config)
    return load(folder)


def decoded(generator: BigGANDeepGenerator, z: Tensor, classes: Tensor, *, truncation: float) -> Tensor:
    latents = Latents((z,) * len(generator.latents), condition=generator.embed_classes(classes))
    return 2 * generator.with_sampling(truncation=truncation).decode(latents) - 1
