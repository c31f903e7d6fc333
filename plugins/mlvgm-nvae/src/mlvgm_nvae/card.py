"""What the card beside trained NVAE weights says."""

from __future__ import annotations

from pathlib import Path

from mlvgm.protocols.data import DataInfo
from mlvgm.weights import card
from mlvgm_nvae.evaluation import Figures
from mlvgm_nvae.training_config import NVAETrainingConfig

_SUMMARY = "A hierarchical variational auto-encoder with residual posteriors."
_DENOISING = (
    "Trained with noise on the encoder's input and clean targets; no labels, no attacks. This is a step beyond the "
    "published method, which uses a generator as it is."
)


def write_card(
    weights: Path, *, config: NVAETrainingConfig, figures: Figures, data: DataInfo, seed: int, seconds: float
) -> Path:
    """Write the card of ``weights`` beside it and return its path."""
    kl = " ".join(f"{value:.1f}" for value in figures.kl)
    return card.write_card(
        weights,
        title=f"NVAE {weights.stem}",
        summary=_DENOISING if config.denoising else _SUMMARY,
        command=card.training_command("generator", "nvae", config, data=data, seed=seed),
        data=data,
        split="train",
        seed=seed,
        seconds=seconds,
        findings=(
            f"On the first {figures.images} {figures.split} images: {figures.bits_per_dimension:.3f} bits per "
            f"dimension, mean squared error of reconstructions {figures.squared_error:.4f}",
            f"KL of each latent, coarse to fine, in nats: {kl} (sum {sum(figures.kl):.1f})",
        ),
    )
