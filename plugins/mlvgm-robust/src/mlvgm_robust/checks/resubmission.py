"""resubmission: what an attacker gains who may try again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from mlvgm_robust.audit.finding import CheckInfo, Finding
from mlvgm_robust.audit.subject import Subject
from mlvgm_robust.checks.comparison import percent, points
from mlvgm_robust.checks.config import ResubmissionConfig
from mlvgm_robust.evaluation.target import Target

if TYPE_CHECKING:
    from torch import Tensor

    from mlvgm_robust.audit.attempts import AuditContext


@dataclass(frozen=True)
class Resubmission:
    """Share of images that every one of N decisions on fresh noise gets right, adversarial beside clean.

    The clean curve falls too: without it, worst of N counts the noise of the defence as the attacker's success.
    """

    config: ResubmissionConfig = field(default_factory=ResubmissionConfig)
    info = CheckInfo("resubmission", (7,))

    def __call__(self, subject: Subject, *, context: AuditContext) -> Finding:
        if not subject.defence.stochastic:
            return self.info.finding("pass", "deterministic: every submission gets the same answer")
        subject = subject.first(self.config.images)
        adversarial = context.attempt(subject).attacked.images
        most = max(self.config.attempts)
        curves = {
            name: _decisions(subject, images, count=most, purpose=name)
            for name, images in (("clean", subject.images), ("adversarial", adversarial))
        }
        worst = {
            name: {count: float(right[:, :count].all(1).double().mean()) for count in self.config.attempts}
            for name, right in curves.items()
        }
        first = min(self.config.attempts)
        falls = {name: curve[first] - curve[most] for name, curve in worst.items()}
        exposed = falls["adversarial"] > falls["clean"] + self.config.margin
        text = ", ".join(
            f"{percent(worst['adversarial'][count])} in {count} (clean {percent(worst['clean'][count])})"
            for count in self.config.attempts
        )
        return self.info.finding(
            "warn" if exposed else "pass",
            f"of {len(subject)} images, right in every decision are {text}; a fall {points(self.config.margin)} beyond "
            "the clean one counts" + (": repeated submission pays" if exposed else ""),
            worst_of=worst,
        )


def _decisions(subject: Subject, images: Tensor, *, count: int, purpose: str) -> Tensor:
    """(n, count) bool: fresh deployed decisions."""
    protocol, defence = subject.protocol, subject.defence
    target = Target(
        defence,
        samples=subject.samples,
        seed=protocol.seed,
        purpose=f"audit/resubmission/{purpose}",
        memory=protocol.memory,
    )
    with torch.no_grad():
        votes = [defence.vote(target(images, draws=defence.votes)) for _ in range(count)]
    return torch.stack([vote.argmax(1) == subject.labels for vote in votes], 1)
