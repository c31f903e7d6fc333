"""Gradients of several functions of the logits at once: one forward pass, one backward pass for each."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from mlvgm_robust.evaluation.target import Target


def gradients(
    target: Target, images: Tensor, losses: Callable[..., Tensor], *arguments: Tensor, draws: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Like :meth:`mlvgm_robust.evaluation.target.Target.gradient`, for ``k`` losses an image.

    Args:
        target: bound to these images.
        images: (B, C, H, W) in [0, 1].
        losses: ``losses(logits (n, K), *arguments) -> (n, k)``.
        arguments: tensors with one row an image.
        draws: fresh draws, which :meth:`mlvgm_robust.evaluation.target.Target.objective` combines.

    Returns:
        losses (B, k), gradients (B, k, C, H, W), logits (B, draws, K), all detached. Blocks of images keep within the
        target's memory; one image whose draws exceed it is repeated for each loss, in pieces.
    """
    size = max(1, target.memory // (draws if target.stochastic else 1))
    parts = [
        _part(target[rows], images[rows], losses, tuple(argument[rows] for argument in arguments), draws)
        for rows in (slice(i, i + size) for i in range(0, len(images), size))
    ]
    values, slopes, logits = zip(*parts, strict=True)
    return torch.cat(values), torch.cat(slopes), torch.cat(logits)


def _part(
    target: Target, images: Tensor, losses: Callable[..., Tensor], arguments: tuple[Tensor, ...], draws: int
) -> tuple[Tensor, Tensor, Tensor]:
    if target.stochastic and draws > target.memory:
        return _one_by_one(target, images, losses, arguments, draws)
    images = images.detach().requires_grad_(True)
    with torch.enable_grad():
        logits = target(images, draws=draws)
        values = target.objective(logits, losses, *arguments)
        totals = values.sum(0).unbind()
        slopes = [torch.autograd.grad(total, images, retain_graph=total is not totals[-1])[0] for total in totals]
    target.counts.backwards += len(totals) * len(images) * (draws if target.stochastic else 1)
    return values.detach(), torch.stack(slopes, 1), logits.detach()


def _one_by_one(
    target: Target, images: Tensor, losses: Callable[..., Tensor], arguments: tuple[Tensor, ...], draws: int
) -> tuple[Tensor, Tensor, Tensor]:
    count = losses(torch.zeros(len(images), target.classes).to(images), *arguments).shape[1]

    def chosen(index: int) -> Callable[..., Tensor]:
        return lambda *inputs: losses(*inputs)[:, index]

    found = [target.gradient(images, chosen(index), *arguments, draws=draws) for index in range(count)]
    values, slopes, logits = zip(*found, strict=True)
    return torch.stack(values, 1), torch.stack(slopes, 1), logits[0]
