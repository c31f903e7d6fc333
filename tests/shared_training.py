"""Trainings of a few steps, as one of the processes that the environment announces; prints nothing."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mlvgm.latents import ImageSpec
from mlvgm.noise import Keys, uniform
from mlvgm.protocols.data import DataInfo, Split
from mlvgm.runs.workers import joined
from mlvgm.training.run import train
from mlvgm.training.trainers import choose

_CELL = {"kind": "inverted", "kernels": (3,), "expansion": 2}
TRAININGS: Mapping[tuple[str, str], Mapping[str, Any]] = {
    ("classifier", "fashion-cnn"): {"steps": 4, "batch": 16},
    ("generator", "nvae"): {
        "steps": 4,
        "batch": 8,
        "warmup_steps": 2,
        "kl_start": (0.1, 0.5),
        "kl_end": (1.0, 1.0),
        "kl_balancing": True,
        "noise_range": (0.0, 0.3),
        "ema": 0.5,
        "clip": 5.0,
        "evaluation_images": 8,
        "architecture": {
            "image": (1, 8, 8),
            "groups": (1, 1),
            "latent_channels": (2, 2),
            "encoder_widths": (8, 8),
            "decoder_widths": (8, 8),
            "preprocess_blocks": 1,
            "preprocess_cells": 1,
            "postprocess_cells": 1,
            "encoder_cells": 1,
            "decoder_cells": 1,
            "decoder_cell": _CELL,
            "postprocess_cell": _CELL,
            "mixtures": 1,
        },
    },
}


class Noise:
    """Images of noise, half of them bright above and half below."""

    info = DataInfo("noise", ImageSpec(1, 8, 8), ("above", "below"), "MIT", "made up")

    def size(self, split: Split) -> int:
        return 48

    def batch(self, split: Split, ids: Sequence[int]) -> tuple[Tensor, Tensor]:
        images = uniform(Keys.of(seed=0, purpose=split, samples=ids), "image", (1, 8, 8))
        labels = torch.tensor([i % 2 for i in ids])
        ramp = torch.linspace(0, 1, 8)[:, None].expand(8, 8)
        return 0.7 * torch.where(labels[:, None, None, None] == 0, images, ramp) + 0.3 * images, labels


def main(out: Path) -> None:
    with joined(os.environ) as workers:
        for (kind, name), options in TRAININGS.items():
            train(choose(kind, name, options), Noise(), folder=out / name, workers=workers)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]))
