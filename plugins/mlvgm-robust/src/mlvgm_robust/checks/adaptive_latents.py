"""adaptive.latents: attacks that know how the purifier works."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mlvgm.errors import ConfigError
from mlvgm_robust.attacks.latent_drift import LatentDrift
from mlvgm_robust.attacks.latent_target import LatentTarget
from mlvgm_robust.audit.finding import CheckInfo, Finding, NotRun, Status
from mlvgm_robust.audit.subject import Subject
from mlvgm_robust.checks.comparison import counts, estimate, fallen, worst
from mlvgm_robust.checks.config import AdaptiveLatentsConfig
from mlvgm_robust.evaluation.admissible import check_attackable

if TYPE_CHECKING:
    from mlvgm.protocols.attack import Attack
    from mlvgm_robust.audit.attempts import AuditContext


@dataclass(frozen=True)
class AdaptiveLatents:
    """Attacks on the latents the purifier keeps: towards another class, and as far away as possible.

    Adaptive attacks in the sense of Tramèr et al. (arXiv 2002.08347). A lead over the attack under audit is a warning:
    the robust accuracy to report is that of both together (``worst.case``).
    """

    config: AdaptiveLatentsConfig = field(default_factory=AdaptiveLatentsConfig)
    info = CheckInfo("adaptive.latents", (14,))

    def __call__(self, subject: Subject, *, context: AuditContext) -> Finding:
        subject = subject.first(self.config.images)
        if subject.norm == "L1":
            raise NotRun("latent attacks know Linf and L2 only")
        config, norm, eps = self.config, subject.norm, subject.eps
        attacks: list[Attack] = [
            LatentTarget(norm, eps, iterations=config.iterations, classes=config.classes, samples=config.samples),
            LatentDrift(norm, eps, iterations=config.iterations, restarts=config.restarts),
        ]
        own, robust, statuses, said = context.attempt(subject), dict[str, float](), list[Status](), list[str]()
        for attack in attacks:
            try:
                check_attackable(subject.defence, attack.info, gradient=subject.protocol.gradient)
                attempt = context.attempt(subject, attack)
            except ConfigError as reason:  # no generator, no encoder of its own, or no latent that is kept
                raise NotRun(reason.message) from None
            robust[attack.info.name] = attempt.accuracy
            status, difference = fallen(own.right, attempt.right, margin=config.margin)
            said.append(f"{estimate(attempt.right)} under {attack.info.name} (p = {difference.p:.2g})")
            statuses.append("warn" if status == "fail" else status)
        return self.info.finding(
            worst(*statuses),
            f"robust accuracy of {len(subject)} images {estimate(own.right)}, {', '.join(said)}; "
            + counts("a lead", config.margin),
            own=own.accuracy,
            robust=robust,
        )
