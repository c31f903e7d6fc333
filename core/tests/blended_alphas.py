"""What every ``blend`` does with alphas that are a tensor."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mlvgm.noise import Noise
from tolerance import GRADIENT, close

STEP = 2e-3


def check_tensor_alphas(generator: Any, encoding: Any, noise: Noise) -> None:
    """A tensor is its numbers, a row of it an image's, and the gradient passes where alphas are 0.

    Args:
        generator: encodes, without nuisances.
        encoding: of two images.
        noise: of a multiple of their number.
    """
    count, draws = len(generator.latents), len(noise) // len(encoding)
    ramp = torch.linspace(0, 1, count)
    together = generator.blend(encoding, noise, ramp)
    for ours, other in zip(together.latents.values, _values(generator, encoding, noise, ramp), strict=True):
        close(ours, other)

    rows = torch.stack([ramp, ramp.flip(0)])
    each = generator.blend(encoding, noise, rows)
    for image in range(2):
        own = slice(image * draws, (image + 1) * draws)
        alone = generator.blend(encoding[[image]], noise[own], rows[image].tolist())
        close(each.images[own], alone.images, depth=GRADIENT)

    for zeros in (torch.zeros(count, requires_grad=True), torch.zeros(2, count, requires_grad=True)):
        blended = generator.blend(encoding, noise, zeros)
        close(blended.images, generator.blend(encoding, noise, [0.0] * count).images, depth=GRADIENT)
        direction = torch.randn(blended.images.shape, generator=torch.Generator().manual_seed(0))
        (gradient,) = torch.autograd.grad((blended.images * direction).sum(), zeros)
        assert bool((gradient.abs() > 0).all())
        slopes = torch.stack([_slope(generator, encoding, noise, direction, i, count) for i in range(count)])
        # Float32 divided by the step, and networks with kinks.
        far = (gradient.view(-1, count).sum(0) - slopes).abs().max()
        assert far < 0.2 * slopes.abs().max(), (gradient, slopes)


def _values(generator: Any, encoding: Any, noise: Noise, alphas: Tensor) -> tuple[Tensor, ...]:
    values: tuple[Tensor, ...] = generator.blend(encoding, noise, alphas.tolist()).latents.values
    return values


def _slope(generator: Any, encoding: Any, noise: Noise, direction: Tensor, latent: int, count: int) -> Tensor:
    """Of the images along ``direction``, in alpha number ``latent``, at 0."""
    values = []
    for alpha in (0.0, STEP, 2 * STEP):
        alphas = [alpha if i == latent else 0.0 for i in range(count)]
        values.append((generator.blend(encoding, noise, alphas).images.double() * direction).sum())
    return ((4 * values[1] - values[2] - 3 * values[0]) / (2 * STEP)).float()
