"""FAB-T: Fast Adaptive Boundary, for the boundaries to the likeliest classes in turn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from mlvgm.protocols.attack import AttackInfo, Norm
from mlvgm_robust.attacks.config import FabTConfig
from mlvgm_robust.attacks.geometry import distance, per_image, project, random_start
from mlvgm_robust.attacks.hyperplane import to_hyperplane
from mlvgm_robust.attacks.improver import Improver
from mlvgm_robust.attacks.losses import difference, targeted_margin
from mlvgm_robust.attacks.rivals import likeliest_rivals

if TYPE_CHECKING:
    from torch import Tensor

    from mlvgm_robust.attacks.incumbents import Incumbents


_TINY = 1e-12


@dataclass(frozen=True)
class FabT(Improver):
    """Targeted FAB (Croce & Hein, arXiv 1907.02044): finds misclassified points close to the image.

    Against a deterministic target the closest one within ``eps`` is returned. A closest point lies on the boundary,
    where a random defence errs half the time; so there the perturbation is stretched to the radius and competes with
    the other candidates on fresh selection draws.

    Args:
        norm: of the perturbation.
        eps: radius in units of [0, 1] pixels.
        iterations: steps for each class and restart.
        restarts: starts for each class; the first is the image itself.
        classes: how many classes to try; K − 1 where there are fewer.
        alpha_max: largest pull towards the original image in a step.
        eta: overshoot over the linearised boundary.
        beta: after a success x, the search goes on at (1 − β) · image + β · x.
    """

    norm: Norm = "L2"
    eps: float = 1.0
    iterations: int = 100
    restarts: int = 1
    classes: int = 9
    alpha_max: float = 0.1
    eta: float = 1.05
    beta: float = 0.9

    @property
    def info(self) -> AttackInfo:
        return AttackInfo("fab-t", self.norm, self.eps)

    def improve(self, incumbents: Incumbents, images: Tensor) -> None:
        rivals = likeliest_rivals(incumbents, images, count=self.classes)
        for number, rival in enumerate(rivals.unbind(1)):
            for restart in range(self.restarts):
                rows = incumbents.standing()
                if len(rows) == 0:
                    return
                start = images[rows]
                if restart:
                    name = f"class{number}/start{restart}"
                    keys = incumbents.context.keys[rows]
                    start = random_start(start, norm=self.norm, eps=self.eps / 2, keys=keys, name=name)
                nearest, length = self._search(incumbents, rows, images[rows], start, rival[rows])
                self._hand_over(incumbents, rows, images[rows], nearest, length)

    def _search(
        self, incumbents: Incumbents, rows: Tensor, images: Tensor, start: Tensor, rivals: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The nearest misclassified point found and its distance, infinite where there is none."""
        target, eot, labels = incumbents.target[rows], incumbents.context.eot, incumbents.labels[rows]
        boundary = difference if incumbents.targets is None else _before_all_others
        nearest, length = images, torch.full_like(images[:, 0, 0, 0], torch.inf)
        point = start
        for _ in range(self.iterations):
            value, gradient, _ = target.gradient(point, boundary, labels, rivals, draws=eot)
            point = self.approach(images, point, value, gradient)
            fooled = incumbents.fooled(target(point, draws=eot), rows)
            away = distance(point - images, self.norm)
            nearer = fooled & (away < length)
            nearest = torch.where(per_image(nearer), point, nearest)
            length = torch.where(nearer, away, length)
            point = torch.where(per_image(fooled), (1 - self.beta) * images + self.beta * point, point)
        return nearest, length

    def approach(self, images: Tensor, point: Tensor, value: Tensor, gradient: Tensor) -> Tensor:
        """One step to the linearised boundary, pulled towards the image (arXiv 1907.02044, section 3)."""
        x, centre, w = point.flatten(1), images.flatten(1), gradient.flatten(1)
        step = to_hyperplane(x, w, value, norm=self.norm)
        value_at_centre = value + (w * (centre - x)).sum(1)
        step_from_centre = to_hyperplane(centre, w, value_at_centre, norm=self.norm)
        length = distance(step, self.norm)
        length_from_centre = distance(step_from_centre, self.norm)
        alpha = (length / (length + length_from_centre).clamp_min(_TINY)).clamp_max(self.alpha_max)[:, None]
        moved = (1 - alpha) * (x + self.eta * step) + alpha * (centre + self.eta * step_from_centre)
        return moved.clamp(0, 1).reshape_as(point)

    def _hand_over(self, incumbents: Incumbents, rows: Tensor, images: Tensor, nearest: Tensor, length: Tensor) -> None:
        if not incumbents.target.stochastic:
            inside = length <= self.eps
            incumbents.take(nearest[inside], rows[inside])
            return
        found = length.isfinite()
        images, delta = images[found], (nearest - images)[found]
        stretched = images + delta * per_image(self.eps / length[found].clamp_min(_TINY))
        incumbents.offer(project(stretched, images, norm=self.norm, eps=self.eps), rows[found])


def _before_all_others(logits: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
    """Positive where a wanted class is predicted: passing the true class is not enough for that."""
    return targeted_margin(logits, targets)


def build(config: FabTConfig) -> FabT:
    """The attack of ``config``."""
    return FabT(**config.model_dump())
