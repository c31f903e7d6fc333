"""How much faster the folded network is: encode, blend and decode, forward and backward.

Run: OMP_NUM_THREADS=1 python benchmarks/folding.py CHECKPOINT…
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import torch

from mlvgm.noise import Keys
from mlvgm_nvae.architecture import NVAEArchitecture
from mlvgm_nvae.build import load_weights
from mlvgm_nvae.fold import fold
from mlvgm_nvae.generator import HierarchicalGenerator
from mlvgm_nvae.network import build

FULL_CELLS = NVAEArchitecture(
    image=(1, 32, 32),
    groups=(2, 2),
    latent_channels=(4, 4),
    encoder_widths=(16, 8),
    decoder_widths=(16, 8),
    mixtures=2,
    likelihood="bernoulli",
)


def seconds(generator: HierarchicalGenerator, batch: int = 32, repeats: int = 5) -> float:
    """Best time of one forward and backward pass."""
    images = torch.rand(batch, *generator.image.shape, requires_grad=True)
    noise = generator.draw_noise(Keys.of(seed=0, purpose="benchmark", samples=range(batch)))
    alphas = [0.5] * len(generator.latents)
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        generator.blend(generator.encode(images), noise, alphas).images.sum().backward()
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    models = {path: load_weights(path) for path in sys.argv[1:]} or {"full cells": build(FULL_CELLS, seed=0)}
    for name, model in models.items():
        plain, folded = seconds(HierarchicalGenerator(model)), seconds(HierarchicalGenerator(fold(model)))
        print(
            f"{Path(name).name}: folded / unfolded = {folded / plain:.2f}  ({folded * 1e3:.0f} / {plain * 1e3:.0f} ms)"
        )


if __name__ == "__main__":
    main()
