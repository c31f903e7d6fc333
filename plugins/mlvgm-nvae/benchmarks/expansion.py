"""Blending with states that keep their memory format where noise widens them, against states that do not.

Run: OMP_NUM_THREADS=1 python benchmarks/expansion.py [weights]
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor

import mlvgm
from mlvgm import rows
from mlvgm.noise import Keys
from mlvgm_nvae import decoder, generator

IMAGES, DRAWS, ROUNDS = 16, 8, 25


def plainly(tensor: Tensor, wanted: int) -> Tensor:
    """What torch alone does: the result is contiguous, whatever was widened."""
    return tensor if len(tensor) == wanted else tensor.repeat_interleave(wanted // len(tensor), 0)


def main() -> None:
    model = mlvgm.load("generators/nvae", **({"weights": sys.argv[1]} if sys.argv[1:] else {}))
    images = torch.rand(IMAGES, *model.image.shape)
    noise = model.draw_noise(Keys.of(seed=0, purpose="benchmark", samples=range(IMAGES), draws=range(DRAWS)))
    fine = len(model.latents) // 4
    alphas = [0.0] * (len(model.latents) - fine) + [1.0] * fine

    def seconds(expanded: Callable[[Tensor, int], Tensor], *, backward: bool) -> float:
        decoder.expanded = generator.expanded = expanded  # type: ignore[attr-defined]
        start = time.process_time()
        with torch.set_grad_enabled(backward):
            made = model.blend(model.encode(images.clone().requires_grad_(backward)), noise, alphas).images
            if backward:
                made.sum().backward()
        return time.process_time() - start

    for backward in (False, True):
        # Alternating, so that a busy minute hits both; the first rounds warm both up.
        times = [
            (seconds(rows.expanded, backward=backward), seconds(plainly, backward=backward)) for _ in range(ROUNDS)
        ]
        kept, lost = (statistics.median(column) for column in zip(*times[5:], strict=True))
        what = "forward and backward" if backward else "forward"
        print(f"{what}: format kept / lost = {kept / lost:.2f}  ({kept * 1e3:.0f} / {lost * 1e3:.0f} ms of CPU time)")


if __name__ == "__main__":
    main()
