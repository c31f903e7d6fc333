"""Encoding and decoding speed of every generator with shipped weights, beside the machine's convolution peak.

The fraction is of the floating-point operations a second that the fastest of a few ordinary convolutions reaches in the
same process: small networks are bound by memory traffic and small operations, and this says by how much.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib.metadata import entry_points

import torch
from torch.utils.flop_counter import FlopCounterMode

from mlvgm.api import load
from mlvgm.noise import Keys
from mlvgm.protocols.generator import Encodes

BATCH = 128
SECONDS = 2.0


def rate(call: Callable[[], object]) -> float:
    """Calls a second: the fastest of the calls that fit into ``SECONDS``."""
    call()
    fastest, end = float("inf"), time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        start = time.perf_counter()
        call()
        fastest = min(fastest, time.perf_counter() - start)
    return 1 / fastest


def operations(call: Callable[[], object]) -> int:
    with FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops()


def peak() -> float:
    """Operations a second of the fastest of three convolutions."""
    reached = []
    for channels, side in ((64, 32), (128, 16), (256, 16)):
        layer = torch.nn.Conv2d(channels, channels, 3, padding=1).to(memory_format=torch.channels_last)
        images = torch.randn(32, channels, side, side).contiguous(memory_format=torch.channels_last)
        reached.append(rate(lambda layer=layer, images=images: layer(images)) * 2 * 9 * channels**2 * side**2 * 32)
    return max(reached)


def main() -> None:
    with torch.inference_mode():
        machine = peak()
        print(f"convolution peak {machine / 1e9:.1f} GFLOP/s on {torch.get_num_threads()} threads, batch {BATCH}")
        print(f"{'generator':<24} {'work':<8} {'images/s':>10} {'GFLOP/s':>9} {'of peak':>8}")
        for point in sorted(entry_points(group="mlvgm.generators"), key=lambda point: point.name):
            for weights in point.load().weights:
                measure(point.name, weights.name, machine)


def measure(name: str, weights: str, machine: float) -> None:
    generator = load(f"generators/{name}", weights=weights)
    latents = generator.to_latents(generator.draw_noise(Keys.of(seed=0, purpose="benchmark", samples=range(BATCH))))
    works: dict[str, Callable[[], object]] = {"decode": lambda: generator.decode(latents)}
    if isinstance(generator, Encodes):
        images = torch.rand(BATCH, *generator.encoder_image.shape)
        works["encode"] = lambda: generator.encode(images)
    for work, call in works.items():
        calls, flops = rate(call), operations(call)
        share = calls * flops / machine
        label = f"{name}:{weights}"
        print(f"{label:<24} {work:<8} {calls * BATCH:>10.0f} {calls * flops / 1e9:>9.2f} {share:>8.1%}")


if __name__ == "__main__":
    main()
