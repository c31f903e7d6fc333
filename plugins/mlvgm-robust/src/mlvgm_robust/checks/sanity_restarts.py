"""sanity.restarts: more restarts are no weaker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from mlvgm_robust.audit.check import CheckInfo, Finding, Subject, adjusted
from mlvgm_robust.checks.comparison import CheckConfig
from mlvgm_robust.checks.monotone import monotone

if TYPE_CHECKING:
    from mlvgm_robust.audit.attempts import AuditContext


class SanityRestartsConfig(CheckConfig):
    """Options of sanity.restarts."""

    BUDGETS: ClassVar[Mapping[str, Mapping[str, object]]] = {"demo": {"images": 16}}

    more: int = Field(1, ge=1, description="restarts beyond the audited ones")
    margin: float = Field(0.02, ge=0, description="a rise of robust accuracy up to this is none")
    settled: float = Field(0.01, ge=0, description="a fall in the last step up to this is none")


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
