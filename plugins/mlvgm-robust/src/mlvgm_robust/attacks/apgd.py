"""Auto-PGD, the ascent common to APGD-CE, APGD-DLR and APGD-T (Croce & Hein, arXiv 2003.01690, algorithm 1)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Self

import torch

from mlvgm.protocols.attack import Norm
from mlvgm_robust.attacks.geometry import per_image, project, random_start, steepest

if TYPE_CHECKING:
    from torch import Tensor

    from mlvgm_robust.attacks.incumbents import Incumbents

MOMENTUM = 0.75
_RHO = 0.75


def checkpoints(iterations: int) -> tuple[int, ...]:
    """Iterations w_j = ⌈p_j N⌉ at which the step may be halved: p_0 = 0, p_1 = 0.22, gaps shrink by 0.03 down to 0.06.

    >>> checkpoints(100)
    (22, 41, 57, 70, 80, 87, 93, 99)
    """
    percent, gap, found = 22, 22, []
    while percent <= 100:
        found.append(math.ceil(percent * iterations / 100))
        gap = max(gap - 3, 6)
        percent += gap
    return tuple(sorted({point for point in found if point < iterations}))


@dataclass
class Ascent:
    """State of the images still worked on; every field has one row an image."""

    rows: Tensor
    centre: Tensor
    image: Tensor
    previous: Tensor
    gradient: Tensor
    loss: Tensor
    best: Tensor
    best_gradient: Tensor
    best_loss: Tensor
    step: Tensor
    increases: Tensor
    halved: Tensor
    checked_loss: Tensor

    @classmethod
    def of(cls, rows: Tensor, centre: Tensor, image: Tensor, gradient: Tensor, loss: Tensor, *, eps: float) -> Self:
        """The state at the start."""
        return cls(
            rows=rows,
            centre=centre,
            image=image,
            previous=image,
            gradient=gradient,
            loss=loss,
            best=image,
            best_gradient=gradient,
            best_loss=loss,
            step=torch.full_like(loss, 2 * eps),
            increases=torch.zeros_like(loss),
            halved=torch.ones_like(rows, dtype=torch.bool),
            checked_loss=loss,
        )

    def move(self, image: Tensor, gradient: Tensor, loss: Tensor) -> None:
        """Go to ``image``, and remember it if its loss is the largest so far."""
        self.increases = self.increases + (loss > self.loss)
        self.previous, self.image, self.gradient, self.loss = self.image, image, gradient, loss
        better = loss > self.best_loss
        self.best = torch.where(per_image(better), image, self.best)
        self.best_gradient = torch.where(per_image(better), gradient, self.best_gradient)
        self.best_loss = torch.where(better, loss, self.best_loss)

    def select(self, keep: Tensor) -> Self:
        """The state of some rows."""
        return type(self)(*(getattr(self, field.name)[keep] for field in fields(self)))


def ascend(
    incumbents: Incumbents,
    images: Tensor,
    loss: Callable[..., Tensor],
    *arguments: Tensor,
    start: str,
    norm: Norm,
    eps: float,
    iterations: int,
) -> None:
    """Maximise ``loss`` in the ball with momentum and a step that halves where progress stalls.

    Gradients and losses are means over ``context.eot`` draws. Against a deterministic target an iterate that is
    misclassified ends the work on its image, unless ``context.stop_at_success`` is off. Against a stochastic one the
    best iterate competes on fresh selection draws about once a quarter and at the end, and is drawn again there, so
    that a lucky loss does not stay the bar.

    Args:
        incumbents: what is left to break; successes go there.
        images: (B, C, H, W) the clean images.
        loss: see :mod:`mlvgm_robust.attacks.losses`.
        arguments: tensors (B,) for the loss.
        start: name of the random starting points among the attack's keys.
        norm: of the ball.
        eps: radius of the ball.
        iterations: steps.
    """
    rows = incumbents.standing()
    if len(rows) == 0:
        return
    target, eot, keys = incumbents.target, incumbents.context.eot, incumbents.context.keys

    def evaluate(rows: Tensor, candidates: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return target[rows].gradient(candidates, loss, *(argument[rows] for argument in arguments), draws=eot)

    centre = images[rows]
    image = random_start(centre, norm=norm, eps=eps, keys=keys[rows], name=start)
    value, gradient, logits = evaluate(rows, image)
    state = Ascent.of(rows, centre, image, gradient, value, eps=eps)
    state = _drop_fooled(incumbents, state, logits)
    points = checkpoints(iterations)
    last_point = last_offer = 0
    for iteration in range(1, iterations + 1):
        if len(state.rows) == 0:
            return
        image = step_ahead(state, norm=norm, eps=eps, momentum=1.0 if iteration == 1 else MOMENTUM)
        value, gradient, logits = evaluate(state.rows, image)
        state.move(image, gradient, value)
        state = _drop_fooled(incumbents, state, logits)
        if iteration in points:
            if target.stochastic and iteration - last_offer >= iterations / 4:
                last_offer = iteration
                state = _offer_best(incumbents, state)
                if len(state.rows) == 0:
                    return
                state.best_loss, state.best_gradient, _ = evaluate(state.rows, state.best)
            halve_stalled(state, iteration - last_point)
            last_point = iteration
    if target.stochastic or not incumbents.context.stop_at_success:
        state = _offer_best(incumbents, state)
        incumbents.offer(state.image, state.rows)


def step_ahead(state: Ascent, *, norm: Norm, eps: float, momentum: float) -> Tensor:
    ahead = state.image + per_image(state.step) * steepest(state.gradient, norm)
    ahead = project(ahead, state.centre, norm=norm, eps=eps)
    mixed = state.image + momentum * (ahead - state.image) + (1 - momentum) * (state.image - state.previous)
    return project(mixed, state.centre, norm=norm, eps=eps)


def _drop_fooled(incumbents: Incumbents, state: Ascent, logits: Tensor) -> Ascent:
    if incumbents.target.stochastic or not incumbents.context.stop_at_success:
        return state
    fooled = incumbents.fooled(logits, state.rows)
    if not fooled.any():
        return state
    incumbents.take(state.image[fooled], state.rows[fooled])
    return state.select(~fooled)


def _offer_best(incumbents: Incumbents, state: Ascent) -> Ascent:
    incumbents.offer(state.best, state.rows)
    return state.select(~incumbents.broken[state.rows])


def halve_stalled(state: Ascent, span: int) -> None:
    """Halve the step and return to the best point where the loss rarely rose or did not pass its best."""
    rarely = state.increases < _RHO * span
    stuck = ~state.halved & (state.best_loss <= state.checked_loss)
    stalled = rarely | stuck
    state.step = torch.where(stalled, state.step / 2, state.step)
    state.image = torch.where(per_image(stalled), state.best, state.image)
    state.gradient = torch.where(per_image(stalled), state.best_gradient, state.gradient)
    state.loss = torch.where(stalled, state.best_loss, state.loss)
    state.halved, state.checked_loss = stalled, state.best_loss
    state.increases = torch.zeros_like(state.increases)
