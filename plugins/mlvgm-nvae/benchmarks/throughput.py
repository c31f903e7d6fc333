"""Images a second, forward and backward, through encode, blend and decode of the light architecture.

Run: OMP_NUM_THREADS=1 python benchmarks/throughput.py [batch …]
"""

from __future__ import annotations

import sys
import time

import torch

from mlvgm.noise import Keys
from mlvgm_nvae.architecture import light
from mlvgm_nvae.generator import HierarchicalGenerator, HierarchicalSampling
from mlvgm_nvae.network import build


def images_per_second(generator: HierarchicalGenerator, batch: int, repeats: int = 6) -> tuple[float, float]:
    """Rates per wall-clock second and per CPU second; each image is encoded, blended (cosine) and decoded once."""
    images = torch.rand(batch, *generator.image.shape, requires_grad=True)
    noise = generator.draw_noise(Keys.of(seed=0, purpose="benchmark", samples=range(batch)))
    count = len(generator.latents)
    alphas = [(i + 1) / (count + 1) for i in range(count)]

    def step() -> None:
        generator.blend(generator.encode(images), noise, alphas).images.sum().backward()

    step()
    wall, processor = time.perf_counter(), time.process_time()
    for _ in range(repeats):
        step()
    done = batch * repeats
    return done / (time.perf_counter() - wall), done / (time.process_time() - processor)


def main() -> None:
    batches = [int(argument) for argument in sys.argv[1:]] or [64, 128]
    generator = HierarchicalGenerator(build(light(), seed=0), sampling=HierarchicalSampling(temperature=0.6))
    for batch in batches:
        wall, processor = images_per_second(generator, batch)
        threads = torch.get_num_threads()
        print(f"batch {batch}: {wall:.0f} images/s, {processor:.0f} images per CPU second, {threads} thread(s)")


if __name__ == "__main__":
    main()
