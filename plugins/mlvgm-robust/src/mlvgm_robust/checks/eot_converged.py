"""eot.converged: gradients average enough draws."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import torch

from mlvgm_robust.attacks.losses import margin as margin_loss
from mlvgm_robust.audit.finding import CheckInfo, Finding
from mlvgm_robust.audit.subject import Subject
from mlvgm_robust.checks.comparison import LIKELY, counts, estimate, fallen
from mlvgm_robust.checks.config import EotConvergedConfig
from mlvgm_robust.evaluation.target import Target

if TYPE_CHECKING:
    from mlvgm_robust.audit.attempts import AuditContext


@dataclass(frozen=True)
class EotConverged:
    """Two gradients from independent draws point the same way, and twice the draws break no more images.

    The default of 0.3 and the doubling follow the practice around EoT-PGD (Lee & Kim, arXiv 2308.16258). Gradients that
    agree less lead nowhere in particular, so that what still stands after them is no evidence.
    """

    config: EotConvergedConfig = field(default_factory=EotConvergedConfig)
    info = CheckInfo("eot.converged", (4,))

    def __call__(self, subject: Subject, *, context: AuditContext) -> Finding:
        if not subject.defence.stochastic:
            return self.info.finding("pass", "deterministic: one draw is exact")
        subject = subject.first(self.config.images)
        cosine = _cosine(subject)
        curve = {subject.protocol.eot: context.attempt(subject)}
        for _ in range(self.config.doublings):
            eot = 2 * max(curve)
            curve[eot] = context.attempt(subject, protocol=replace(subject.protocol, eot=eot))
        robust = {eot: attempt.accuracy for eot, attempt in curve.items()}
        moved, tested = False, ""
        if len(curve) > 1:
            before, after = (curve[eot].right for eot in sorted(curve)[-2:])
            _, difference = fallen(before, after, margin=self.config.margin)
            moved = difference.fall > self.config.margin and difference.p < LIKELY
            tested = f", p = {difference.p:.2g}; {counts('a fall', self.config.margin)}"
        figures = ", ".join(f"{estimate(attempt.right)} with {eot} draws" for eot, attempt in curve.items())
        own = curve[subject.protocol.eot].right
        lost = cosine < self.config.cosine and float(own.mean()) > 1 / subject.defence.classes
        return self.info.finding(
            "no power" if lost else "warn" if moved else "pass",
            f"two gradients of {subject.protocol.eot} draws have mean cosine {cosine:.2f} over {len(subject)} images, "
            f"at least {self.config.cosine:g} is wanted; robust accuracy {figures}{tested}"
            + ("; an attack that follows such noise could hardly break anything" if lost else "")
            + ("; more draws are needed" if moved or lost else ""),
            cosine=cosine,
            robust=robust,
        )


def _cosine(subject: Subject) -> float:
    protocol = subject.protocol
    found = []
    for purpose in ("audit/first", "audit/second"):
        target = Target(
            subject.defence,
            samples=subject.samples,
            seed=protocol.seed,
            purpose=purpose,
            memory=protocol.memory,
            gradient=protocol.gradient,
        )
        found.append(target.gradient(subject.images, margin_loss, subject.labels, draws=protocol.eot)[1].flatten(1))
    first, second = found
    return float(torch.nn.functional.cosine_similarity(first, second, dim=1).mean())
