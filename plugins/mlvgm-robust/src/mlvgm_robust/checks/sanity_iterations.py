"""sanity.iterations: more iterations are no weaker, and the last doubling changes nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mlvgm_robust.audit.finding import CheckInfo, Finding
from mlvgm_robust.audit.subject import Subject, adjusted, effort
from mlvgm_robust.checks.config import SanityIterationsConfig
from mlvgm_robust.checks.monotone import monotone

if TYPE_CHECKING:
    from mlvgm_robust.audit.attempts import AuditContext


@dataclass(frozen=True)
class SanityIterations:
    """Robust accuracy does not rise with the iterations (arXiv 1902.06705, section 4.6), and has settled."""

    config: SanityIterationsConfig = field(default_factory=SanityIterationsConfig)
    info = CheckInfo("sanity.iterations", (9,))

    def __call__(self, subject: Subject, *, context: AuditContext) -> Finding:
        subject, attack = subject.first(self.config.images), subject.attack
        name = effort(attack)
        counts = sorted({max(1, round(factor * getattr(attack, name))) for factor in self.config.factors})
        curve = {count: context.attempt(subject, adjusted(attack, **{name: count})) for count in counts}
        return monotone(self.info, curve, what=name, margin=self.config.margin, settled=self.config.settled)
