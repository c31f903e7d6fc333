"""sanity.unbounded: an attack without a bound breaks everything."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mlvgm.statistics import wilson
from mlvgm_robust.audit.finding import CheckInfo, Finding, NotRun
from mlvgm_robust.audit.subject import Subject, adjusted, effort
from mlvgm_robust.checks.comparison import estimate, percent
from mlvgm_robust.checks.config import SanityUnboundedConfig

if TYPE_CHECKING:
    from mlvgm_robust.audit.attempts import AuditContext


@dataclass(frozen=True)
class SanityUnbounded:
    """In a ball that holds the whole box, robust accuracy is at most 1/K (Carlini et al., arXiv 1902.06705, 4.3)."""

    config: SanityUnboundedConfig = field(default_factory=SanityUnboundedConfig)
    info = CheckInfo("sanity.unbounded", (8,))

    def __call__(self, subject: Subject, *, context: AuditContext) -> Finding:
        subject = subject.first(self.config.images)
        pixels = subject.images[0].numel()
        radius = {"Linf": 1.0, "L2": pixels**0.5, "L1": float(pixels)}[subject.norm]
        chance = 1 / subject.defence.classes
        if subject.attack.info.eps is None:
            attempts = [context.attempt(subject)]
            told = "without a radius"
        else:
            attempts, told = [], f"in {subject.norm} radius {radius:g}"
            for count in self.config.iterations:
                wide = adjusted(subject.attack, eps=radius)
                with suppress(NotRun):  # an attack without such an option works as long as it does
                    wide = adjusted(wide, **{effort(wide): count})
                attempts.append(context.attempt(subject, wide))
                if attempts[-1].accuracy <= chance:
                    break
        best = min(attempts, key=lambda attempt: attempt.accuracy)
        accuracy, low = best.accuracy, wilson(float(best.right.sum()), len(subject)).low
        return self.info.finding(
            "pass" if low <= chance else "fail",
            f"{told} robust accuracy of {len(subject)} images is {estimate(best.right)}; its interval must reach down "
            f"to chance, {percent(chance)}" + ("" if low <= chance else ": the attack does not work"),
            robust=accuracy,
            chance=chance,
            images=len(subject),
        )
