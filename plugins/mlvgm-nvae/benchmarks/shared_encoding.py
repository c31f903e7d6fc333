"""One EoT gradient step: images encoded once and shared by their draws, against encoded again for each draw.

Run: OMP_NUM_THREADS=1 python benchmarks/shared_encoding.py [weights]
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor

from mlvgm.noise import Keys
from mlvgm_nvae.build import nvae
from mlvgm_nvae.config import NVAEConfig


def best(step: Callable[[], Tensor], repeats: int = 4) -> float:
    """Best time of forward and backward in seconds."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        step().sum().backward()
        times.append(time.perf_counter() - start)
    return min(times)


def main(images: int = 8, draws: int = 16) -> None:
    generator = nvae(NVAEConfig(weights=sys.argv[1] if len(sys.argv) > 1 else "clean"))
    batch = torch.rand(images, *generator.image.shape, requires_grad=True)
    noise = generator.draw_noise(Keys.of(seed=0, purpose="benchmark", samples=range(images), draws=range(draws)))
    count = len(generator.latents)
    schedules = {"keep:6": [0.0] * 6 + [1.0] * (count - 6), "linear": [(i + 1) / count for i in range(count)]}
    for name, alphas in schedules.items():

        def shared(alphas: list[float] = alphas) -> Tensor:
            return generator.blend(generator.encode(batch), noise, alphas).images

        def repeated(alphas: list[float] = alphas) -> Tensor:
            return generator.blend(generator.encode(batch.repeat_interleave(draws, 0)), noise, alphas).images

        together, apart = best(shared), best(repeated)
        ratio = f"shared / per draw = {together / apart:.2f}"
        print(f"{images} images × {draws} draws, {name}: {ratio}  ({together * 1e3:.0f} / {apart * 1e3:.0f} ms)")


if __name__ == "__main__":
    main()
