"""sanity.restarts: more restarts are no weaker."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mlvgm_robust.audit.finding import CheckInfo, Finding
from mlvgm_robust.audit.subject import Subject, adjusted
from mlvgm_robust.checks.config import SanityRestartsConfig
from mlvgm_robust.checks.monotone import monotone

if TYPE_CHECKING:
    from mlvgm_robust.audit.attempts import AuditContext


@dataclass(frozen=True)
class SanityRestarts:
    """Robust accuracy does not rise with the restarts, and one more changes nothing."""

    config: SanityRestartsConfig = field(default_factory=SanityRestartsConfig)
    info = CheckInfo("sanity.restarts", (9,))

    def __call__(self, subject: Subject, *, context: AuditContext) -> Finding:
        subject = subject.first(self.config.images)
        once = getattr(subject.attack, "restarts", 1)
        more = adjusted(subject.attack, restarts=once + self.config.more)
        curve = {once: context.attempt(subject), once + self.config.more: context.attempt(subject, more)}
        return monotone(self.info, curve, what="restarts", margin=self.config.margin, settled=self.config.settled)
