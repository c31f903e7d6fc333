"""worst.case: per image, the best of all attacks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from mlvgm_robust.audit.finding import CheckInfo, Finding
from mlvgm_robust.audit.subject import Subject
from mlvgm_robust.checks.comparison import SURE, estimate, fallen, points
from mlvgm_robust.checks.config import WorstCaseConfig

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from mlvgm_robust.audit.attempts import Attempt, AuditContext


@dataclass(frozen=True)
class WorstCase:
    """Robust accuracy against every attack the audit has run on all images, whichever does best on each.

    Per image the attack with the highest chance on the selection draws counts, with its own score: the worst score of
    many would count luck. The result must not depend on the order of the attacks. A little lower is a caveat: the worst
    case is the number to report. Where it is surely much lower, the attack under audit was not the one to believe.
    """

    config: WorstCaseConfig = field(default_factory=WorstCaseConfig)
    info = CheckInfo("worst.case", (15,))

    def __call__(self, subject: Subject, *, context: AuditContext) -> Finding:
        subject = subject.first(self.config.images)
        own = context.attempt(subject)
        attempts = context.attempts(subject)
        forwards, backwards = worst_case(attempts), worst_case(attempts[::-1])
        names = sorted({attempt.info.name for attempt in attempts})
        accuracy = float(forwards.mean())
        if not torch.equal(forwards, backwards):
            return self.info.finding("fail", "the worst case depends on the order of the attacks", attacks=names)
        lower = own.accuracy - accuracy > self.config.margin
        refuted, difference = fallen(own.right, forwards, margin=self.config.refuted)
        return self.info.finding(
            "fail" if refuted == "fail" else "warn" if lower else "pass",
            f"worst of {len(attempts)} runs on each of {len(subject)} images: {estimate(forwards)}, the attack under "
            f"audit alone {estimate(own.right)}, p = {difference.p:.2g}; more than {points(self.config.margin)} lower "
            f"is a caveat, more than {points(self.config.refuted)} with p < {SURE:g} refutes the number"
            + (": report the worst case" if lower else ""),
            robust=accuracy,
            own=own.accuracy,
            attacks=names,
        )


def worst_case(attempts: Sequence[Attempt]) -> Tensor:
    """(n,) share of right decisions, each image under the attack most likely to break it; ties are averaged."""
    chances = torch.stack([attempt.attacked.chance.double() for attempt in attempts])
    right = torch.stack([attempt.right for attempt in attempts])
    best = chances == chances.amax(0)
    ordered = torch.where(best, right, torch.nan).sort(0).values  # a sum must not depend on the order either
    return ordered.nansum(0) / best.sum(0)
