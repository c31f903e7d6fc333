"""sanity.eps: a larger radius is no weaker."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mlvgm_robust.audit.finding import CheckInfo, Finding
from mlvgm_robust.audit.subject import Subject, adjusted
from mlvgm_robust.checks.config import SanityEpsConfig
from mlvgm_robust.checks.monotone import monotone

if TYPE_CHECKING:
    from mlvgm_robust.audit.attempts import AuditContext


@dataclass(frozen=True)
class SanityEps:
    """Robust accuracy does not rise with the radius of the ball (arXiv 1902.06705, section 4.3)."""

    config: SanityEpsConfig = field(default_factory=SanityEpsConfig)
    info = CheckInfo("sanity.eps", (9,))

    def __call__(self, subject: Subject, *, context: AuditContext) -> Finding:
        subject = subject.first(self.config.images)
        radii = sorted({factor * subject.eps for factor in self.config.factors})
        curve = {eps: context.attempt(subject, adjusted(subject.attack, eps=eps)) for eps in radii}
        return monotone(self.info, curve, what=f"{subject.norm} radius", margin=self.config.margin)
