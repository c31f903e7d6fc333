"""Optimising latents until the generator makes given images: starting points, distance, descent."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from mlvgm.latents import Latents
from mlvgm.noise import Keys
from mlvgm.protocols.generator import Conditional, MultiLatentGenerator
from mlvgm_robust.adam import Adam

_DRAWS = 128
_ROWS = 32


@dataclass(frozen=True)
class Start:
    """Where descents begin: the mean latents, of each class where there are classes.

    Args:
        means: mean of each latent over fixed draws, (classes or 1, \\*shape).
        spreads: standard deviation of each latent, root mean square over its numbers.
        conditions: embeddings of all classes, (classes, …), or None.
        condition_spread: their standard deviation, root mean square.
        nuisance: means of the nuisances that are on, (1, …).
        images: what the generator makes of each row, (classes or 1, C, H, W).
    """

    means: tuple[Tensor, ...]
    spreads: tuple[float, ...]
    conditions: Tensor | None
    condition_spread: float
    nuisance: Mapping[str, Tensor]
    images: Tensor


def starting_points(generator: MultiLatentGenerator) -> Start:
    """The start of ``generator``, from fixed keyed noise: the same for every image, batch and process."""
    noise = generator.draw_noise(Keys.of(seed=0, purpose="inversion", samples=range(_DRAWS)))
    conditions, condition_spread = None, 0.0
    sets = [generator.to_latents(noise).values]
    spreads = tuple(_spread(values) for values in sets[0])
    conditional: Conditional | None = generator if isinstance(generator, Conditional) else None
    if conditional is not None:
        conditions = conditional.embed_classes(torch.arange(conditional.classes, device=generator.device))
        condition_spread = _spread(conditions) if len(conditions) > 1 else 0.0
        sets = [
            generator.to_latents(replace(noise, condition=row.expand(_DRAWS, *row.shape))).values for row in conditions
        ]
    means = tuple(torch.stack([values.mean(0) for values in latent]) for latent in zip(*sets, strict=True))
    nuisance = {name: values.mean(0, keepdim=True) for name, values in noise.nuisance.items()}
    blocks = [slice(i, i + _ROWS) for i in range(0, len(sets), _ROWS)]
    images = [
        generator.decode(
            _latents([mean[rows] for mean in means], None if conditions is None else conditions[rows], nuisance)
        )
        for rows in blocks
    ]
    return Start(means, spreads, conditions, condition_spread, nuisance, torch.cat(images))


def descend(
    generator: MultiLatentGenerator,
    images: Tensor,
    start: Start,
    *,
    steps: int,
    rate: float,
    regulariser: float,
    scales: int,
) -> Latents:
    """Latents whose images are near ``images``: Adam on standardised latents, each image for itself.

    Minimises distance(G(z̄ + σ u, c̄ + τ v), x) + regulariser · mean(u², v²) over u and v, from u = v = 0, where z̄ and σ
    are mean and spread of the latents and c̄ is the class whose mean image is nearest to x. Every latent is free, also
    where ordinary sampling ties them (W+ of StyleGAN).

    Args:
        generator: its ``decode`` is differentiated.
        images: (B, C, H, W).
        start: :func:`starting_points` of ``generator``.
        steps: of Adam.
        rate: first step size; falls to 0 along a half cosine.
        regulariser: weight of the latents' squared distance from their mean.
        scales: see :func:`distance`.

    Returns:
        the latents, detached, without nuisances.
    """
    nearest = torch.cdist(images.flatten(1), start.images.flatten(1)).argmin(1)
    centres = [mean[nearest] for mean in start.means]
    spreads = list(start.spreads)
    if start.conditions is not None:
        centres.append(start.conditions[nearest])
        spreads.append(start.condition_spread)
    shifts = [torch.zeros_like(centre) for centre in centres]
    states = [Adam.of(u, rate=rate) for u in shifts]

    def latents() -> Latents:
        moved = [c + spread * u for c, spread, u in zip(centres, spreads, shifts, strict=True)]
        count = len(start.means)
        return _latents(moved[:count], moved[count] if count < len(moved) else None, start.nuisance)

    for step in range(steps):
        size = rate * (1 + math.cos(math.pi * step / steps)) / 2
        shifts = [u.detach().requires_grad_() for u in shifts]
        penalty = torch.cat([u.flatten(1) for u in shifts], 1).square().mean(1)
        loss = distance(generator.decode(latents()), images, scales=scales) + regulariser * penalty
        # Adam works on each number alone, so the sum leaves images independent of one another.
        gradients = torch.autograd.grad(loss.sum(), shifts, materialize_grads=True)
        moved = [
            replace(state, rate=size).step(u.detach(), gradient)
            for u, gradient, state in zip(shifts, gradients, states, strict=True)
        ]
        shifts, states = [u for u, _ in moved], [state for _, state in moved]
    found = latents()
    return Latents(found.values, condition=found.condition)


def distance(made: Tensor, images: Tensor, *, scales: int) -> Tensor:
    """Mean squared difference (B,), averaged over the images and their ``scales`` − 1 successive halvings."""
    difference, total = made - images, images.new_zeros(len(images))
    for scale in range(scales):
        if scale:
            if min(difference.shape[-2:]) < 2:
                return total / scale
            difference = avg_pool2d(difference, 2)
        total = total + difference.square().flatten(1).mean(1)
    return total / scales


def _latents(values: Sequence[Tensor], condition: Tensor | None, nuisance: Mapping[str, Tensor]) -> Latents:
    rows = len(values[0])
    return Latents(
        tuple(values), condition, {name: value.expand(rows, *value.shape[1:]) for name, value in nuisance.items()}
    )


def _spread(values: Tensor) -> float:
    return float(values.std(0).square().mean().sqrt())
