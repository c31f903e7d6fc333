"""Carlini & Wagner's L2 attack: distance plus c times the margin, minimised without a box, c searched for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from pydantic import Field

from mlvgm.protocols.attack import AttackContext, AttackInfo
from mlvgm_robust.attacks.adam import Adam
from mlvgm_robust.attacks.geometry import per_image, random_start, steepest
from mlvgm_robust.attacks.losses import cross_entropy, margin, targeted_cross_entropy, targeted_margin
from mlvgm_robust.attacks.nearest import Nearest, NearestConfig

if TYPE_CHECKING:
    from torch import Tensor

    from mlvgm.target import Target

# How near w may come to ±∞, where the image is exactly 0 or 1 and tanh has no slope.
_EDGE = 1e-6
# Loss has to fall by this factor from check to check, ten checks in a run, or the run is over.
_PROGRESS, _CHECKS = 0.9999, 10


class CarliniWagnerConfig(NearestConfig):
    """Options of Carlini & Wagner's attack."""

    BUDGETS: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "demo": {"iterations": 40, "searches": 4},
        "standard": {"iterations": 200, "searches": 9},
        "rigorous": {"iterations": 1000, "searches": 9},
    }

    iterations: int = Field(200, ge=1, description="gradient steps for each c")
    searches: int = Field(9, ge=1, description="values of c tried for each image")
    c: float = Field(1.0, gt=0, allow_inf_nan=False, description="first weight of the margin")
    kappa: float = Field(0.0, ge=0, allow_inf_nan=False, description="margin by which the logits should be wrong")
    step: float = Field(0.01, gt=0, allow_inf_nan=False, description="learning rate of Adam")
    noise: float = Field(0.0, ge=0, allow_inf_nan=False, description="L2 norm of Gaussian noise on every start")
    early_abort: bool = Field(True, description="end the steps for a c once the loss no longer falls")


@dataclass(frozen=True)
class CarliniWagner:
    """Minimises ‖x − x₀‖² + c max(margin + κ, 0) over w, x = (tanh w + 1) / 2 (arXiv 1608.04644, section V).

    Every image has its own c: ten times smaller after a success, ten times larger after a failure, and the geometric
    mean once there were both. Runs start from the image itself and, since its likeliest other class is not always the
    nearest one, in turn from an FGSM step as long as the nearest success so far.

    Args:
        iterations: gradient steps for each c.
        searches: values of c.
        c: the first one.
        kappa: κ, margin by which the logits of a success should be wrong.
        step: learning rate of Adam.
        noise: L2 norm of Gaussian noise on every start.
        early_abort: end the steps for a c once the loss no longer falls.
        bisections: halvings of the way between image and success; with κ above 0 leave it at 0, for it gives κ back.

    Example:
        >>> attack = CarliniWagner(iterations=100)
        >>> candidates = attack(target, images, labels, context=context)   # doctest: +SKIP
    """

    iterations: int = 200
    searches: int = 9
    c: float = 1.0
    kappa: float = 0.0
    step: float = 0.01
    noise: float = 0.0
    early_abort: bool = True
    bisections: int = 10

    @property
    def info(self) -> AttackInfo:
        return AttackInfo("carlini-wagner", "L2", None)

    def __call__(
        self, target: Target, images: Tensor, labels: Tensor, *, targets: Tensor | None = None, context: AttackContext
    ) -> Tensor:
        nearest = Nearest.of(target, images, labels, targets=targets, context=context, norm="L2")
        c = torch.full_like(images[:, 0, 0, 0], self.c)
        low, high = torch.zeros_like(c), torch.full_like(c, torch.inf)
        rows = nearest.incumbents.standing()
        for search in range(self.searches if len(rows) else 0):
            start = images[rows] if search % 2 == 0 else _fast_gradient_sign(nearest, rows)
            if self.noise:
                keys = context.keys[rows]
                start = random_start(start, norm="L2", eps=self.noise, keys=keys, name=f"start{search}")
            success = torch.zeros_like(c, dtype=torch.bool)
            success[rows] = self._minimise(nearest, rows, start, c)
            low, high = torch.where(success, low, c), torch.where(success, c, high)
            c = torch.where(low == 0, high / 10, torch.where(high.isinf(), 10 * low, (low * high).sqrt()))
        return nearest.settle(self.bisections)

    def _minimise(self, nearest: Nearest, everyone: Tensor, start: Tensor, c: Tensor) -> Tensor:
        """One run of Adam for images ``everyone`` with weights ``c`` (B,); which of them had a success, (b,)."""
        incumbents, rows, w = nearest.incumbents, everyone, torch.atanh(2 * start.clamp(_EDGE, 1 - _EDGE) - 1)
        wanted = incumbents.labels if incumbents.targets is None else incumbents.targets
        adam, success = Adam.of(w, rate=self.step), torch.zeros_like(c, dtype=torch.bool)
        checked, every = torch.full_like(c, torch.inf), max(self.iterations // _CHECKS, 1)
        for iteration in range(self.iterations):
            point, centre = (w.tanh() + 1) / 2, nearest.centre[rows]
            hinge = _targeted_hinge if incumbents.targets is not None else _hinge
            kappa = torch.full_like(c[rows], self.kappa)
            value, gradient, logits = incumbents.target[rows].gradient(
                point, hinge, wanted[rows], kappa, draws=incumbents.context.eot
            )
            reached = nearest.margin(logits, rows)
            fooled = (reached > 0) & (reached >= self.kappa)
            nearest.record(point, rows, fooled)
            success[rows] |= fooled
            slope = 2 * (point - centre) - per_image(c[rows]) * gradient
            w, adam = adam.step(w, slope * 2 * point * (1 - point))
            if self.early_abort and (iteration + 1) % every == 0:
                loss = (point - centre).square().flatten(1).sum(1) - c[rows] * value
                falls = loss < _PROGRESS * checked[rows]
                checked[rows] = loss
                rows, w, adam = rows[falls], w[falls], adam[falls]
                if len(rows) == 0:
                    break
        return success[everyone]


def _fast_gradient_sign(nearest: Nearest, rows: Tensor) -> Tensor:
    """A step along the sign of the gradient, as long as the nearest success; no step where there is none."""
    incumbents, centre, length = nearest.incumbents, nearest.centre[rows], nearest.length[rows]
    loss = cross_entropy if incumbents.targets is None else targeted_cross_entropy
    wanted = incumbents.labels if incumbents.targets is None else incumbents.targets
    _, gradient, _ = incumbents.target[rows].gradient(centre, loss, wanted[rows], draws=incumbents.context.eot)
    length = torch.where(length.isfinite(), length, 0)
    return (centre + per_image(length) * steepest(gradient.sign(), "L2")).clamp(0, 1)


def _hinge(logits: Tensor, labels: Tensor, kappa: Tensor) -> Tensor:
    """min(margin, κ): no more is asked for once the logits are wrong by κ."""
    return torch.minimum(margin(logits, labels), kappa)


def _targeted_hinge(logits: Tensor, targets: Tensor, kappa: Tensor) -> Tensor:
    return torch.minimum(targeted_margin(logits, targets), kappa)


def build(config: CarliniWagnerConfig) -> CarliniWagner:
    """The attack of ``config``."""
    return CarliniWagner(**config.model_dump())
