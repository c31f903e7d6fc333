"""``published-deepfool``: DeepFool as in the published evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlvgm.protocols.attack import AttackContext, AttackInfo
from mlvgm_robust.attacks.deepfool import DeepFool, boundaries
from mlvgm_robust.attacks.rivals import likeliest_rivals
from mlvgm_robust.published.config import PublishedDeepFoolConfig
from mlvgm_robust.published.found import Found
from mlvgm_robust.published.switches import PUBLISHED, Switches

if TYPE_CHECKING:
    from torch import Tensor

    from mlvgm_robust.evaluation.target import Target


@dataclass(frozen=True)
class PublishedDeepFool:
    """DeepFool (arXiv 1511.04599) with the classes of the first draws, no box, and the first success as the result.

    Args:
        classes: looked at, the predicted one included: the likeliest over the first draws.
        overshoot: η, relative length added to every step.
        iterations: most steps.
        switches: ``success`` and ``box`` matter.
    """

    classes: int = 8
    overshoot: float = 0.02
    iterations: int = 128
    switches: Switches = PUBLISHED

    @property
    def info(self) -> AttackInfo:
        return AttackInfo("published-deepfool", "L2", None)

    def __call__(
        self, target: Target, images: Tensor, labels: Tensor, *, targets: Tensor | None = None, context: AttackContext
    ) -> Tensor:
        success = self.switches.success
        found = Found.of(target, images, labels, targets=targets, context=context, success=success)
        deepfool = DeepFool("L2", overshoot=self.overshoot, clip=self.switches.box == "fixed")
        incumbents = found.nearest.incumbents
        rivals = likeliest_rivals(incumbents, images, count=self.classes - 1)
        rows = found.standing()
        point = images[rows]
        for _ in range(self.iterations):
            if len(rows) == 0:
                break
            point = deepfool.move(point, boundaries(incumbents, rows, point, rivals))
            fooled = found.fooled(target[rows](point, draws=context.eot), rows)
            found.record(point, rows, fooled)
            rows, point = rows[~fooled], point[~fooled]
        return found.handed_over(clip=self.switches.box == "fixed")


def build(config: PublishedDeepFoolConfig) -> PublishedDeepFool:
    """The attack of ``config``."""
    values = config.values.deepfool
    chosen = config.completed(classes=values.classes, overshoot=values.overshoot, iterations=values.iterations)
    options: dict[str, Any] = chosen.model_dump(include={"classes", "overshoot", "iterations"})
    return PublishedDeepFool(**options, switches=config.switches)
