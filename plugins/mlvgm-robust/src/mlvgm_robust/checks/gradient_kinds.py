"""gradient.kinds: exact, BPDA and blind gradients; a cruder one must not do better."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from mlvgm.errors import ConfigError
from mlvgm.protocols.attack import gradient_paths
from mlvgm_robust.attacks.transfer import Transfer
from mlvgm_robust.audit.finding import CheckInfo, Finding, NotRun
from mlvgm_robust.audit.subject import Subject
from mlvgm_robust.checks.comparison import counts, estimate, fallen, worst
from mlvgm_robust.checks.config import GradientKindsConfig
from mlvgm_robust.checks.power import answered, tried
from mlvgm_robust.evaluation.defence import Defence

if TYPE_CHECKING:
    from mlvgm_robust.audit.attempts import AuditContext


@dataclass(frozen=True)
class GradientKinds:
    """The attack under audit with the gradient it declares, with BPDA, and blind: on the bare classifier only.

    A purifier whose exact gradient is shattered or vanishes loses to gradients that ignore it (arXiv 1802.00420,
    section 3.1).
    """

    config: GradientKindsConfig = field(default_factory=GradientKindsConfig)
    info = CheckInfo("gradient.kinds", (2,))

    def __call__(self, subject: Subject, *, context: AuditContext) -> Finding:
        subject, defence = subject.first(self.config.images), subject.defence
        access = subject.attack.info.access
        if access != "gradient":
            raise NotRun(f"attack '{subject.attack.info.name}' follows no gradient of the defence ({access})")
        paths = gradient_paths(access, differentiable=defence.differentiable, gradient=subject.protocol.gradient)
        stated = " and ".join(paths)
        if defence.purifier is None or subject.classifier is None:
            return self.info.finding(
                "pass", f"gradient = {stated}; no purifier is known that a cruder gradient could leave out", used=stated
            )
        own = context.attempt(subject)
        robust, statuses, impossible = {stated: own.accuracy}, [], ""
        said = [f"{stated} {estimate(own.right)}"]
        others = {"blind": context.attempt(subject, Transfer(subject.attack))}
        if paths == ("exact",) and not subject.attack.info.needs_generator:
            try:
                others["bpda"] = context.attempt(subject, protocol=replace(subject.protocol, gradient="bpda"))
            except (ConfigError, RuntimeError):  # purified images are not shown, or have another shape
                impossible = "; BPDA is not possible"
        for name, other in others.items():
            status, difference = fallen(own.right, other.right, margin=self.config.margin)
            said.append(f"{name} {estimate(other.right)} (p = {difference.p:.2g})")
            statuses.append(status)
            robust[name] = other.accuracy
        verdict = worst(*statuses)
        lead = "no cruder gradient does better" if verdict == "pass" else "a cruder gradient does better"
        return answered(
            self.info,
            verdict,
            f"{lead}: robust accuracy of {len(subject)} images with {', '.join(said)}{impossible}; "
            + counts("a lead", self.config.margin),
            claimed=own.right,
            chance=1 / defence.classes,
            power=lambda: tried(subject, context=context, margin=self.config.margin, twin=Defence(subject.bare())),
            used=stated,
            robust=robust,
        )
