"""e4e as it is loaded, against batch norms that are not folded and the other memory format.

Run: OMP_NUM_THREADS=1 python benchmarks/encoders.py [side]
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from itertools import product

import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d

from mlvgm_stylegan.encoders.e4e import E4E, E4EArchitecture
from mlvgm_stylegan.encoders.irse import IRSEArchitecture, ResidualUnit

SMALL = IRSEArchitecture(stem=16, widths=(16, 32, 64, 128), squeezed=(1, 2, 4, 8))


class UnfoldedUnit(nn.Module):
    """A residual unit with its batch norms, as it is trained."""

    def __init__(self, unit: ResidualUnit) -> None:
        super().__init__()
        self.unit = unit
        inputs, outputs = unit.first.in_channels, unit.first.out_channels
        self.norms = nn.ModuleList(nn.BatchNorm2d(channels) for channels in (inputs, outputs, outputs))

    def forward(self, x: Tensor) -> Tensor:
        unit = self.unit
        features = self.norms[1](unit.second(unit.activation(unit.first(self.norms[0](x)))))
        kept = unit.shortcut(max_pool2d(x, 1, unit.stride))
        if not isinstance(unit.shortcut, nn.Identity):
            kept = self.norms[2](kept)
        return kept + features * unit.gate(features)


def encoder(body: IRSEArchitecture, side: int, *, folded: bool, memory_format: torch.memory_format) -> E4E:
    model = E4E(E4EArchitecture(image=(3, side, side), body=body, w_dim=body.widths[-1], face_pool=side))
    if not folded:
        for stage in model.pyramid.body.stages:
            assert isinstance(stage, nn.Sequential)
            for number, unit in enumerate(stage):
                assert isinstance(unit, ResidualUnit)
                stage[number] = UnfoldedUnit(unit)
    return model.eval().requires_grad_(False).to(memory_format=memory_format)


def best(run: Callable[[], object], repeats: int = 3) -> float:
    """CPU seconds of the fastest of some runs."""
    times = []
    for _ in range(repeats + 1):
        start = time.process_time()
        run()
        times.append(time.process_time() - start)
    return min(times)


def main() -> None:
    side = int(sys.argv[1]) if len(sys.argv) > 1 else 256
    images = torch.rand(1, 3, side, side, requires_grad=True)
    for name, body in (("original sizes", IRSEArchitecture()), ("small", SMALL)):
        for folded, memory_format in product((False, True), (torch.contiguous_format, torch.channels_last)):
            model = encoder(body, side, folded=folded, memory_format=memory_format)
            with torch.no_grad():
                forward = best(lambda model=model: model.encode(images))
            both = best(lambda model=model: model.encode(images).sum().backward())
            kind = f"{'folded' if folded else 'unfolded'}, {str(memory_format).removeprefix('torch.')}"
            print(f"{name}, {kind}: encode {forward * 1e3:.0f} ms, with gradient {both * 1e3:.0f} ms", flush=True)


if __name__ == "__main__":
    main()
