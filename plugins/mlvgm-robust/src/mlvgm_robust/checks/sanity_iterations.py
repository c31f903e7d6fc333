"""sanity.iterations: more iterations are no weaker, and the last doubling changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from mlvgm_robust.audit.check import CheckInfo, Finding, Subject, adjusted, effort
from mlvgm_robust.checks.comparison import CheckConfig
from mlvgm_robust.checks.monotone import monotone

if TYPE_CHECKING:
    from mlvgm_robust.audit.attempts import AuditContext


class SanityIterationsConfig(CheckConfig):
    """Options of sanity.iterations."""

    BUDGETS: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "demo": {"factors": (0.25, 0.5, 1.0)},
        "standard": {"factors": (0.25, 0.5, 1.0, 2.0)},
    }

    factors: tuple[float, ...] = Field((0.1, 0.5, 1.0, 2.0), min_length=2, description="times the audited iterations")
    margin: float = Field(0.02, ge=0, description="a rise of robust accuracy up to this is none")
    settled: float = Field(0.01, ge=0, description="a fall in the last step up to this is none")


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
