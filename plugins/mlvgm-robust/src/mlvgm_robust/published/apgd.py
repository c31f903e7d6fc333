"""APGD as in the published evaluation: checkpoints cut to whole steps, and the last point as the result."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch

from mlvgm_robust.attacks.apgd import MOMENTUM, Ascent, halve_stalled, step_ahead
from mlvgm_robust.attacks.geometry import random_start

if TYPE_CHECKING:
    from torch import Tensor

    from mlvgm.noise import Keys
    from mlvgm_robust.published.found import Found


def checkpoints(iterations: int) -> tuple[int, ...]:
    """Steps after which the step may be halved: ⌊0.22 N⌋ apart, then ⌊0.03 N⌋ less each time, down to ⌊0.06 N⌋.

    >>> checkpoints(64)
    (14, 27, 39, 50, 60)
    """
    gap, smallest, less = (max(int(share * iterations), 1) for share in (0.22, 0.06, 0.03))
    found, point = [], gap
    while point < iterations:
        found.append(point)
        gap = max(gap - less, smallest)
        point += gap
    return tuple(found)


def ascend(
    found: Found,
    rows: Tensor,
    loss: Callable[[Tensor, Tensor], Tensor],
    *,
    eps: float,
    iterations: int,
    keys: Keys,
    every: bool,
) -> Tensor:
    """Maximise ``loss`` in the L2 ball around images ``rows`` and keep what succeeds.

    Args:
        found: successes go there.
        rows: (b,) images.
        loss: ``loss(logits (n, K), labels (n,)) -> (n,)``.
        eps: radius.
        iterations: steps; every image does all of them.
        keys: of the random starts, one row an image.
        every: judge every point and, again, the one of the largest loss; published code judges the last one only.

    Returns:
        (b,) bool, which of the images had a success.
    """
    succeeded = torch.zeros_like(rows, dtype=torch.bool)
    if len(rows) == 0:
        return succeeded
    incumbents = found.nearest.incumbents
    target, labels, eot = incumbents.target[rows], incumbents.labels[rows], incumbents.context.eot
    centre = found.nearest.centre[rows]

    def judge(points: Tensor, logits: Tensor) -> None:
        fooled = found.fooled(logits, rows)
        found.record(points, rows, fooled)
        succeeded.logical_or_(fooled)

    def evaluate(points: Tensor) -> tuple[Tensor, Tensor]:
        value, gradient, logits = target.gradient(points, loss, labels, draws=eot)
        if every:
            judge(points, logits)
        return value, gradient

    image = random_start(centre, norm="L2", eps=eps, keys=keys, name="start")
    value, gradient = evaluate(image)
    state = Ascent.of(rows, centre, image, gradient, value, eps=eps)
    points, last = checkpoints(iterations), 0
    for iteration in range(1, iterations + 1):
        image = step_ahead(state, norm="L2", eps=eps, momentum=1.0 if iteration == 1 else MOMENTUM)
        if iteration == iterations:
            break
        value, gradient = evaluate(image)
        state.move(image, gradient, value)
        if iteration in points:
            halve_stalled(state, iteration - last)
            last = iteration
    for point in (image, state.best) if every else (image,):
        judge(point, target(point, draws=eot))
    return succeeded
