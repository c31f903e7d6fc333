"""Trainings of a few steps, as one of the processes that the environment announces; prints nothing."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mlvgm.latents import ImageSpec
from mlvgm.noise import Keys, uniform
from mlvgm.protocols.data import DataInfo, Split
from mlvgm.runs.workers import joined
from mlvgm.training.run import train
from mlvgm.training.trainers import choose
from mlvgm.weights.file import write_weights
from mlvgm_stylegan.stylegan2.architecture import StyleGAN2Architecture
from mlvgm_stylegan.stylegan2.network import build
from mlvgm_stylegan.stylegan2.weights import contents

_SMALL = {"steps": 4, "batch": 8, "warmup_steps": 2, "evaluation_images": 8}
_CLASSIFIER = {"classifier": "shared_training:network"}
_CELL = {"kind": "inverted", "kernels": (3,), "expansion": 2}
TRAININGS: Mapping[tuple[str, str], Mapping[str, Any]] = {
    ("classifier", "fashion-cnn"): {"steps": 4, "batch": 16},
    ("classifier", "trades"): {**_SMALL, **_CLASSIFIER, "inner_steps": 2},
    ("purifier", "a-vae"): {
        **_SMALL,
        "architecture": {"image": (1, 16, 16), "pool": 2, "widths": (8, 8, 4), "latent_channels": 4, "style": 8},
    },
    ("purifier", "nd-vae"): {
        **_SMALL,
        **_CLASSIFIER,
        "architecture": {"image": (1, 16, 16), "widths": (6, 6), "groups": 1, "stem": 4, "latent_channels": 2},
    },
    ("encoder", "stylegan2"): {"steps": 4, "batch": 8, "warmup_steps": 2, "widths": (8, 8), "kept": 4, "hidden": 16},
    ("generator", "nvae"): {
        **_SMALL,
        "kl_start": (0.1, 0.5),
        "kl_end": (1.0, 1.0),
        "kl_balancing": True,
        "noise_range": (0.0, 0.3),
        "ema": 0.5,
        "clip": 5.0,
        "architecture": {
            "image": (1, 16, 16),
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


GENERATOR = StyleGAN2Architecture(z_dim=6, w_dim=5, channels=(8, 6, 4), image_channels=1, noise=False)


class Noise:
    """Images of noise, half of them bright above and half below."""

    info = DataInfo("noise", ImageSpec(1, 16, 16), ("above", "below"), "MIT", "made up")

    def size(self, split: Split) -> int:
        return 48

    def batch(self, split: Split, ids: Sequence[int]) -> tuple[Tensor, Tensor]:
        images = uniform(Keys.of(seed=0, purpose=split, samples=ids), "image", (1, 16, 16))
        labels = torch.tensor([i % 2 for i in ids])
        ramp = torch.linspace(0, 1, 16)[:, None].expand(16, 16)
        return 0.7 * torch.where(labels[:, None, None, None] == 0, images, ramp) + 0.3 * images, labels


def network() -> nn.Module:
    """A classifier that competitors attack or train on."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3, stride=2), nn.ELU(), nn.Flatten(), nn.Linear(4 * 7 * 7, 2)).eval()


def main(out: Path) -> None:
    with joined(os.environ) as workers:
        if workers.leads:
            write_weights(out / "generator.safetensors", contents(build(GENERATOR, seed=0)))
        for (kind, name), options in TRAININGS.items():
            files = {"generator": str(out / "generator.safetensors")} if kind == "encoder" else {}
            workers.wait()
            train(choose(kind, name, {**options, **files}), Noise(), folder=out / name, workers=workers)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]))
