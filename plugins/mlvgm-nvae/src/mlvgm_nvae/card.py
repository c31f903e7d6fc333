"""The Markdown card beside trained weights."""

from __future__ import annotations

import hashlib
import json
import platform
from pathlib import Path

import torch

from mlvgm.protocols.data import DataInfo
from mlvgm_nvae.evaluation import Figures
from mlvgm_nvae.training_config import NVAETrainingConfig

_DENOISING = (
    "Trained with noise on the encoder's input and clean targets; no labels, no attacks. This is a step beyond the "
    "published method, which uses a generator as it is.\n\n"
)


def write_card(
    weights: Path, *, config: NVAETrainingConfig, figures: Figures, data: DataInfo, seed: int, seconds: float
) -> Path:
    """Write the card of ``weights`` beside it and return its path."""
    path = weights.with_suffix(".md")
    kl = " ".join(f"{value:.1f}" for value in figures.kl)
    path.write_text(
        f"# NVAE {weights.stem}\n\n"
        f"{_DENOISING if config.denoising else ''}"
        f"- Data: {data.name}, train split ({data.licence})\n"
        f"- Command: `{command(config, data=data, seed=seed)}`\n"
        f"- Seed: {seed}; {seconds:.0f} CPU seconds; torch {torch.__version__}, {platform.machine()}\n"
        f"- On the first {figures.images} {figures.split} images: {figures.bits_per_dimension:.3f} bits per dimension, "
        f"mean squared error of reconstructions {figures.squared_error:.4f}\n"
        f"- KL of each latent, coarse to fine, in nats: {kl} (sum {sum(figures.kl):.1f})\n"
        f"- sha256: `{hashlib.sha256(weights.read_bytes()).hexdigest()}`\n",
        encoding="utf-8",
    )
    return path


def command(config: NVAETrainingConfig, *, data: DataInfo, seed: int) -> str:
    """The command that repeats the training: every option that is not a default."""
    given = config.model_dump(mode="json", exclude_defaults=True)
    options = "".join(f" --set 'train.{name}={_value(value)}'" for name, value in given.items())
    return f"mlvgm train generator --generator nvae --data {data.name} --seed {seed}{options}"


def _value(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
