"""``published-carlini-wagner``: C&W as in the published evaluation."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Self

import torch

from mlvgm.noise import normal
from mlvgm.protocols.attack import AttackContext, AttackInfo
from mlvgm_robust.adam import Adam
from mlvgm_robust.attacks.fgsm import Fgsm
from mlvgm_robust.attacks.geometry import distance, per_image, steepest
from mlvgm_robust.attacks.losses import margin
from mlvgm_robust.published.config import LARGEST_C, SMALLEST_C, PublishedCarliniWagnerConfig
from mlvgm_robust.published.found import Found
from mlvgm_robust.published.switches import PUBLISHED, Switches

if TYPE_CHECKING:
    from torch import Tensor

    from mlvgm_robust.evaluation.target import Target

_INSIDE = 1e-6
_CLIPPED = 1e-6  # what torch adds to a norm before it divides by it
_ON_FAILURE, _ON_NEARER, _ON_FARTHER = 1.2, 0.8, 0.9


@dataclass
class _Restart:
    """State of the images still worked on in one restart; every field but ``adam.steps`` has one row an image."""

    rows: Tensor
    w: Tensor
    adam: Adam
    mean: Tensor  # of the losses of misclassified iterates
    updates: Tensor  # of the mean

    def select(self, keep: Tensor) -> Self:
        return type(self)(self.rows[keep], self.w[keep], self.adam[keep], self.mean[keep], self.updates[keep])


@dataclass
class _Stored:
    """The adversary that each image holds within one restart: image, distance, and whether it is a success."""

    images: Tensor
    length: Tensor
    succeeds: Tensor


@dataclass(frozen=True)
class PublishedCarliniWagner:
    """C&W (arXiv 1608.04644) with a c that changes between restarts instead of a binary search.

    Minimises ‖x′ − x‖² + c · max(z_y − max z_j + κ, 0) over w, x′ = (tanh w + 1) / 2, with Adam and the gradient
    clipped to norm 1. Every misclassified iterate moves a rolling mean of such iterates' losses, by 1 / n the n-th time
    and never by less than 1 / (``window`` + 1). A restart leaves an image alone, without a look at its distance, at a
    misclassified iterate whose loss is above that mean after more than ``window`` moves; iterates that are classified
    right neither count nor stop. Then c grows by 1.2 after failure and shrinks by 0.8 after a nearer success, by 0.9
    after one that is farther.

    Args:
        c: first weight.
        kappa: κ.
        steps: most steps of a restart.
        rate: Adam's.
        restarts: how many.
        window: see above.
        start: L2 length of the FGSM step a restart starts with.
        noise: L2 length of the noise on it.
        switches: ``success``, ``start`` and ``lost`` matter.
    """

    c: float = 16.0
    kappa: float = 0.05
    steps: int = 1024
    rate: float = 5e-3
    restarts: int = 8
    window: int = 16
    start: float = 1.0
    noise: float = 0.125
    switches: Switches = PUBLISHED

    @property
    def info(self) -> AttackInfo:
        return AttackInfo("published-carlini-wagner", "L2", None)

    def __call__(
        self, target: Target, images: Tensor, labels: Tensor, *, targets: Tensor | None = None, context: AttackContext
    ) -> Tensor:
        success = self.switches.success
        found = Found.of(target, images, labels, targets=targets, context=context, success=success)
        rows = found.standing()
        c = torch.full_like(found.nearest.length, self.c)
        for restart in range(self.restarts if len(rows) else 0):
            context.progress(f"C&W: restart {restart + 1} of {self.restarts}")
            stored = self._search(found, rows, c[rows], context.derive(f"restart{restart}"))
            nearer = stored.succeeds & (stored.length < found.nearest.length[rows])
            found.record(stored.images, rows, stored.succeeds)
            factor = torch.where(nearer, _ON_NEARER, torch.where(stored.succeeds, _ON_FARTHER, _ON_FAILURE))
            c[rows] = (c[rows] * factor).clamp(SMALLEST_C, LARGEST_C)
        return found.handed_over()

    def _search(self, found: Found, rows: Tensor, c: Tensor, context: AttackContext) -> _Stored:
        """One restart for images ``rows``, each with its ``c``."""
        incumbents = found.nearest.incumbents
        target, labels, centre = incumbents.target[rows], incumbents.labels[rows], found.nearest.centre[rows]
        w = torch.atanh(2 * self._start(target, centre, labels, context[rows]) - 1)
        everyone, nowhere = torch.arange(len(rows), device=w.device), torch.full_like(c, torch.inf)
        stored = _Stored(centre.clone(), nowhere.clone(), torch.zeros_like(rows, dtype=torch.bool))
        state = _Restart(everyone, w, Adam.of(w, rate=self.rate), torch.zeros_like(c), torch.zeros_like(rows))
        for _ in range(self.steps):
            tanh, here = state.w.tanh(), state.rows
            point = (tanh + 1) / 2
            hinge, slope, logits = target[here].gradient(point, self._hinge, labels[here], c[here], draws=context.eot)
            delta = point - centre[here]
            fooled = found.fooled(logits, rows[here])
            loss = delta.flatten(1).square().sum(1) + hinge
            stalled = fooled & (state.updates > self.window) & (loss > state.mean)
            self._store(stored, point[~stalled], distance(delta, "L2")[~stalled], fooled[~stalled], here[~stalled])
            share = 1 / (state.updates.clamp_max(self.window) + 1)
            state.mean = torch.where(fooled, torch.lerp(state.mean, loss, share), state.mean)
            state.updates = state.updates + fooled
            gradient = (slope + 2 * delta) * (1 - tanh.square()) / 2
            gradient = gradient * per_image((1 / (distance(gradient, "L2") + _CLIPPED)).clamp_max(1))
            state.w, state.adam = state.adam.step(state.w, gradient)
            if stalled.any():
                state = state.select(~stalled)
            if len(state.rows) == 0:
                break
        return stored

    def _start(self, target: Target, images: Tensor, labels: Tensor, context: AttackContext) -> Tensor:
        start = images
        if self.switches.start == "published":
            start = Fgsm("L2", self.start, direction="sign")(target, images, labels, context=context)
            noise = normal(context.keys, "start", images.shape[1:]).to(images)
            start = start + self.noise * steepest(noise, "L2")
        return start.clamp(_INSIDE, 1 - _INSIDE)

    def _hinge(self, logits: Tensor, labels: Tensor, c: Tensor) -> Tensor:
        """c · max(z_y − max z_j + κ, 0)."""
        return c * (self.kappa - margin(logits, labels)).clamp_min(0)

    def _store(self, stored: _Stored, points: Tensor, length: Tensor, fooled: Tensor, rows: Tensor) -> None:
        """Keep ``points`` of images ``rows`` that are the first success or nearer than what is stored.

        As published, nearer is enough after the first success: the success is lost for an image that is none.
        """
        nearer = length < stored.length[rows]
        first = fooled & ~stored.succeeds[rows]
        later = (nearer & stored.length[rows].isfinite()) if self.switches.lost == "published" else nearer & fooled
        chosen = first | later
        stored.images[rows[chosen]] = points[chosen]
        stored.length[rows[chosen]] = length[chosen]
        stored.succeeds[rows[chosen]] = fooled[chosen]


def build(config: PublishedCarliniWagnerConfig) -> PublishedCarliniWagner:
    """The attack of ``config``."""
    values = {**asdict(config.values.carlini_wagner), "start": config.values.start, "noise": config.values.noise}
    chosen = config.completed(**values)
    return PublishedCarliniWagner(**{name: getattr(chosen, name) for name in values}, switches=config.switches)
