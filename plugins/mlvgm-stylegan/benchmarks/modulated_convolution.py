"""Synthesis with styles on activations, against the same weights with styles on filters and grouped convolutions.

The second is how the published code bases run by default on a CPU: a filter bank for each sample, one convolution with
as many groups as samples, the low-pass filter on a padded copy, then noise, bias, leaky ReLU and gain in turn.

Run: OMP_NUM_THREADS=1 python benchmarks/modulated_convolution.py [batch]
"""

from __future__ import annotations

import copy
import sys
import time
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import conv2d, conv_transpose2d, leaky_relu, pad

from mlvgm.noise import Keys, normal
from mlvgm_stylegan.stylegan2.architecture import StyleGAN2Architecture, light
from mlvgm_stylegan.stylegan2.fold import fold
from mlvgm_stylegan.stylegan2.modulated_convolution import ModulatedConvolution, ModulatedProjection
from mlvgm_stylegan.stylegan2.network import StyleGAN2, build
from mlvgm_stylegan.stylegan2.synthesis import Layer


def sized(*channels: int) -> StyleGAN2Architecture:
    return StyleGAN2Architecture(z_dim=512, w_dim=512, channels=channels)


# The published channels are min(16384 / resolution, 512) for images up to 256 pixels. The wider the coarse layers, the
# more is saved; fine layers are bound by the convolution itself, which both forms share.
MODELS = {
    "light, 32×32": light(),
    "published channels, 32×32": sized(512, 512, 512, 512),
    "published channels, 64×64": sized(512, 512, 512, 512, 256),
    "half of them, 64×64": sized(256, 256, 256, 256, 128),
    "a quarter of them, 128×128": sized(128, 128, 128, 128, 64, 32),
}


class GroupedLayer(Layer):
    """Filters for each sample, and one operation at a time."""

    def forward(self, x: Tensor, w: Tensor, noise: Tensor | None, low_pass: Tensor, *, gain: float = 1.0) -> Tensor:
        x = grouped_convolution(self.convolution, x.expand(len(w), -1, -1, -1), w, low_pass)
        if noise is not None:
            x = x + self.noise_strength * noise
        return leaky_relu(x + self.bias[:, None, None], 0.2) * (gain * 2**0.5)


class GroupedProjection(ModulatedProjection):
    """Filters for each sample."""

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        (outputs, inputs), rows = self.weight.shape[:2], len(w)
        weight = self.weight * (self.affine(w) * inputs**-0.5)[:, None, :, None, None]
        colours = conv2d(x.reshape(1, -1, *x.shape[2:]), weight.reshape(-1, inputs, 1, 1), groups=rows)
        return colours.reshape(rows, outputs, *x.shape[2:])


def grouped_convolution(layer: ModulatedConvolution, x: Tensor, w: Tensor, low_pass: Tensor) -> Tensor:
    (outputs, inputs), rows = layer.weight.shape[:2], len(w)
    weight = layer.weight * layer.affine(w)[:, None, :, None, None]
    weight = weight * (weight.square().sum((2, 3, 4), keepdim=True) + 1e-8).rsqrt()
    x = x.reshape(1, rows * inputs, *x.shape[2:])
    if not layer.up:
        x = conv2d(x, weight.reshape(-1, inputs, 3, 3), padding=1, groups=rows)
        return x.reshape(rows, outputs, *x.shape[2:])
    x = conv_transpose2d(x, weight.transpose(1, 2).reshape(-1, outputs, 3, 3), stride=2, groups=rows)
    x = pad(x.reshape(rows, outputs, *x.shape[2:]), (1, 1, 1, 1))
    return conv2d(x, (4 * low_pass).expand(outputs, 1, -1, -1), groups=outputs)


def grouped(model: StyleGAN2) -> StyleGAN2:
    """A copy of ``model`` with grouped convolutions."""
    changed = copy.deepcopy(model)
    for module in changed.modules():
        if isinstance(module, Layer):
            module.__class__ = GroupedLayer
        elif isinstance(module, ModulatedProjection):
            module.__class__ = GroupedProjection
    return changed


def best(models: tuple[StyleGAN2, ...], ws: list[Tensor], *, repeats: int = 5) -> list[float]:
    """Best seconds of each model; they take turns, so that all see the same machine."""
    times: list[list[float]] = [[] for _ in models]
    for _ in range(repeats):
        for model, seconds in zip(models, times, strict=True):
            start = time.perf_counter()
            model.synthesis(ws)
            seconds.append(time.perf_counter() - start)
    return [min(seconds) for seconds in times]


@torch.no_grad()
def main() -> None:
    batch = int(sys.argv[1]) if len(sys.argv) > 1 else 8
    draw = partial(normal, Keys.of(seed=0, purpose="benchmark", samples=range(batch)), "z")
    for name, architecture in MODELS.items():
        model = build(architecture, seed=0).eval()
        theirs, ours = grouped(model), fold(model)
        ws = [model.mapping(draw((architecture.z_dim,)))] * architecture.num_ws
        fast, slow = best((ours, theirs), ws)
        difference = (ours.synthesis(ws) - theirs.synthesis(ws)).abs().max().item()
        print(
            f"{name}, batch {batch}: {slow / fast:.2f} × as fast as grouped ({fast * 1e3:.1f} / {slow * 1e3:.1f} ms), "
            f"largest difference {difference:.1e}, {torch.get_num_threads()} thread(s)"
        )


if __name__ == "__main__":
    main()
