"""blackbox.square: an attack that sees only scores must not beat the white box."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mlvgm_robust.attacks.square import Square
from mlvgm_robust.audit.finding import CheckInfo, Finding, NotRun
from mlvgm_robust.audit.subject import Subject
from mlvgm_robust.checks.comparison import counts, estimate, fallen
from mlvgm_robust.checks.config import BlackboxSquareConfig
from mlvgm_robust.checks.power import answered, tried

if TYPE_CHECKING:
    from mlvgm_robust.audit.attempts import AuditContext


@dataclass(frozen=True)
class BlackboxSquare:
    """Square (arXiv 1912.00049) breaks no more images than the attack under audit, which sees gradients."""

    config: BlackboxSquareConfig = field(default_factory=BlackboxSquareConfig)
    info = CheckInfo("blackbox.square", (10,))

    def __call__(self, subject: Subject, *, context: AuditContext) -> Finding:
        subject = subject.first(self.config.images)
        if subject.attack.info.access != "gradient":
            raise NotRun(f"attack '{subject.attack.info.name}' is no white-box attack")
        if subject.norm == "L1":
            raise NotRun("Square knows Linf and L2 only")
        own = context.attempt(subject)
        attack = Square(subject.norm, subject.eps, queries=self.config.queries)
        square = context.attempt(subject, attack)
        status, difference = fallen(own.right, square.right, margin=self.config.margin)
        return answered(
            self.info,
            status,
            f"robust accuracy of {len(subject)} images {estimate(own.right)} in white box, {estimate(square.right)} "
            f"under Square with {self.config.queries} queries, p = {difference.p:.2g}; "
            f"{counts('a lead', self.config.margin)}" + ("" if status == "pass" else ": gradients are masked"),
            claimed=own.right,
            chance=1 / subject.defence.classes,
            power=lambda: tried(subject, attack, context=context, margin=self.config.margin),
            white=own.accuracy,
            black=square.accuracy,
            p=difference.p,
        )
