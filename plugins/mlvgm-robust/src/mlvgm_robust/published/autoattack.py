"""``published-autoattack``: what the published evaluation calls AutoAttack."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from mlvgm.protocols.attack import AttackContext, AttackInfo
from mlvgm_robust.attacks.losses import cross_entropy, dlr, margin
from mlvgm_robust.published import fab
from mlvgm_robust.published.apgd import ascend
from mlvgm_robust.published.config import CE_BOUNDS, DLR_BOUNDS, PublishedAutoAttackConfig
from mlvgm_robust.published.found import Found
from mlvgm_robust.published.switches import PUBLISHED, Switches

if TYPE_CHECKING:
    from torch import Tensor

    from mlvgm_robust.evaluation.target import Target

_MORE_THAN = 3
_TINY = 1e-12


@dataclass(frozen=True)
class PublishedAutoAttack:
    """A ladder of APGD-CE, one of APGD-DLR with more than three classes, then FAB; the nearest success counts.

    A rung is climbed only by images on which the rungs before it, of the same loss, have failed.

    Args:
        iterations: steps of APGD at each bound.
        ce_bounds: rungs of APGD-CE.
        dlr_bounds: rungs of APGD-DLR.
        fab_iterations: steps of FAB.
        fab_classes: boundaries FAB looks at; None is all.
        reported: bounds at which robust accuracy is reported, the rungs of both ladders when ``ladder`` is fixed.
        switches: ``success``, ``iterate``, ``ladder``, ``few_classes`` and ``ratio`` matter.
    """

    iterations: int = 64
    ce_bounds: tuple[float, ...] = CE_BOUNDS
    dlr_bounds: tuple[float, ...] = DLR_BOUNDS
    fab_iterations: int = 128
    fab_classes: int | None = None
    reported: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0)
    switches: Switches = PUBLISHED

    @property
    def info(self) -> AttackInfo:
        return AttackInfo("published-autoattack", "L2", None)

    def ladders(self, classes: int) -> dict[str, tuple[Callable[[Tensor, Tensor], Tensor], tuple[float, ...]]]:
        """Loss and bounds of each ladder against a classifier of that many classes, by name, in order."""
        fixed = self.switches.ladder == "fixed"
        found: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], tuple[float, ...]]] = {}
        found["apgd-ce"] = (cross_entropy, self.reported if fixed else self.ce_bounds)
        if classes > _MORE_THAN or self.switches.few_classes == "fixed":
            ratio = published_dlr if classes > _MORE_THAN and self.switches.ratio == "published" else dlr
            found["apgd-dlr"] = (ratio, self.reported if fixed else self.dlr_bounds)
        return found

    def __call__(
        self, target: Target, images: Tensor, labels: Tensor, *, targets: Tensor | None = None, context: AttackContext
    ) -> Tensor:
        success = self.switches.success
        found = Found.of(target, images, labels, targets=targets, context=context, success=success)
        for name, (loss, bounds) in self.ladders(target.classes).items():
            left = found.standing()
            for eps in bounds:
                context.progress(f"{name} at {eps:g}: {len(left)} of {len(images)} images")
                succeeded = ascend(
                    found,
                    left,
                    loss,
                    eps=eps,
                    iterations=self.iterations,
                    keys=context.keys.derive(f"{name}/{eps:g}")[left],
                    every=self.switches.iterate == "fixed",
                )
                left = left[~succeeded]
        context.progress("fab")
        fab.search(found, iterations=self.fab_iterations, classes=self.fab_classes)
        return found.handed_over()


def published_dlr(logits: Tensor, labels: Tensor) -> Tensor:
    """−(z_y − max_{i≠y} z_i) / (z_π1 − z_π3), with z_π4 in place of z_π3 where that is z_y; four logits at least."""
    values, classes = logits.topk(4, dim=1)
    third = torch.where(classes[:, 2] == labels, values[:, 3], values[:, 2])
    return margin(logits, labels) / (values[:, 0] - third + _TINY)


def build(config: PublishedAutoAttackConfig) -> PublishedAutoAttack:
    """The attack of ``config``."""
    options = config.model_dump(exclude={"task", "switches"})
    return PublishedAutoAttack(**options, reported=config.values.bounds, switches=config.switches)
