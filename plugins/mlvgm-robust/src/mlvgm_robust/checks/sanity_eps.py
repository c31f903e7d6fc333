"""sanity.eps: a larger radius is no weaker."""

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


class SanityEpsConfig(CheckConfig):
    """Options of sanity.eps."""

    BUDGETS: ClassVar[Mapping[str, Mapping[str, object]]] = {"demo": {"factors": (0.5, 1.0, 2.0), "images": 16}}

    factors: tuple[float, ...] = Field((0.25, 0.5, 1.0, 2.0), min_length=2, description="times the audited radius")
    margin: float = Field(0.02, ge=0, description="a rise of robust accuracy up to this is none")


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
