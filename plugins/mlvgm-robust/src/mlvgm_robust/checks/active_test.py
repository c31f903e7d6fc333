"""active.test: an adversarial example is planted in the ball, and the attack must find one."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import torch

from mlvgm.statistics import wilson
from mlvgm_robust.audit.finding import CheckInfo, Finding, NotRun, Status
from mlvgm_robust.audit.subject import Subject
from mlvgm_robust.checks.comparison import percent
from mlvgm_robust.checks.config import ActiveTestConfig
from mlvgm_robust.checks.known_noise import KnownNoise
from mlvgm_robust.checks.planted import plant

if TYPE_CHECKING:
    from mlvgm.statistics import Estimate
    from mlvgm_robust.audit.attempts import AuditContext


@dataclass(frozen=True)
class ActiveTest:
    """An attack that cannot find what is there cannot say that nothing is (Zimmermann et al., NeurIPS 2022).

    The classifier's head is replaced, image by image, so that a known point of the ball is misclassified; the noise of
    a random defence is held fixed, which makes that exact. Too small a share warns, and fails where the whole 95 %
    Wilson interval is below what is needed: few examples may be missed by chance.
    """

    config: ActiveTestConfig = field(default_factory=ActiveTestConfig)
    info = CheckInfo("active.test", (12,))

    def __call__(self, subject: Subject, *, context: AuditContext) -> Finding:
        subject.replayed()
        subject = subject.first(self.config.images)
        if subject.attack.info.needs_generator:
            raise NotRun("the attack follows latents and never sees the planted head")
        _ = subject.eps
        inner = KnownNoise.of(subject.defence, seed=subject.protocol.seed)
        planted = plant(subject, inner, share=self.config.share, steps=self.config.steps)
        labels = torch.zeros_like(subject.labels)
        attempt = context.attempt(replace(subject, labels=labels), defence=planted)
        there = attempt.clean > 0.5
        planted_count, least = int(there.sum()), self.config.least
        if planted_count < least:
            raise NotRun(
                f"examples could be planted for {planted_count} of {len(subject)} images, and {least} are needed to "
                "judge a share of them"
            )
        found = wilson(int((attempt.right[there] < 0.5).sum()), planted_count)
        status, remark = self._judged(found)
        return self.info.finding(
            status,
            f"the attack finds {found.percent()} % of {planted_count} planted adversarial examples (Wilson 95 %), at "
            f"least {percent(self.config.found)} are needed{remark}",
            found=found.value,
            found_interval=[found.low, found.high],
            planted=planted_count,
        )

    def _judged(self, found: Estimate) -> tuple[Status, str]:
        if found.value >= self.config.found:
            return "pass", ""
        if found.high >= self.config.found:
            return "warn", ": it may be too weak, or more examples would tell"
        return "fail", ": it is too weak"
