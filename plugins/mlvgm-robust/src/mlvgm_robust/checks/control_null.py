"""control.null: no attack, no success; and the success that is reported shows on fresh noise."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mlvgm_robust.audit.finding import CheckInfo, Finding, NotRun
from mlvgm_robust.audit.subject import Subject, adjusted
from mlvgm_robust.checks.comparison import changed, counts, estimate, worst
from mlvgm_robust.checks.config import ControlNullConfig

if TYPE_CHECKING:
    from mlvgm_robust.audit.attempts import AuditContext


@dataclass(frozen=True)
class ControlNull:
    """The same attack at radius 0 gives clean accuracy back, and its images score the same on other fresh noise.

    A judge that counts one lucky draw as success fails both: AutoAttack's suite for random defences reports 15 points
    of success at radius 1e-6.
    """

    config: ControlNullConfig = field(default_factory=ControlNullConfig)
    info = CheckInfo("control.null", (6,))

    def __call__(self, subject: Subject, *, context: AuditContext) -> Finding:
        subject = subject.first(self.config.images)
        own = context.attempt(subject)
        fresh, _ = context.score(subject, own.attacked.images, purpose="audit/rescore")
        statuses, values = [], {"reported": own.accuracy, "fresh": float(fresh.mean())}
        status, difference = changed(own.right, fresh, margin=self.config.margin)
        statuses.append(status)
        values["p"] = min(difference.p, difference.p_rise)
        said = (
            f"reported robust accuracy of {len(subject)} images {estimate(own.right)} is {estimate(fresh)} on other "
            f"fresh noise (p = {values['p']:.2g})"
        )
        try:
            _ = subject.eps
            null = context.attempt(subject, adjusted(subject.attack, eps=0.0))
        except NotRun as reason:
            said += f"; no control at radius 0: {reason}"
        else:
            clean, _ = context.score(subject, subject.images, purpose="audit/clean")
            status, difference = changed(clean, null.right, margin=self.config.margin)
            statuses.append(status)
            values |= {"clean": float(clean.mean()), "null": null.accuracy}
            values["p_null"] = min(difference.p, difference.p_rise)
            said += (
                f"; clean accuracy {estimate(clean)} is {estimate(null.right)} after the attack at radius 0 "
                f"(p = {values['p_null']:.2g})"
            )
        said += f"; {counts('a difference', self.config.margin)}"
        return self.info.finding(worst(*statuses), said, **values)
