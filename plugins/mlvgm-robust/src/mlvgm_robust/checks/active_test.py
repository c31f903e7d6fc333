"""active.test: an adversarial example is planted in the ball, and the attack must find one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar

import torch
from pydantic import Field

from mlvgm.protocols.check import CheckInfo, Finding, NotRun, Subject
from mlvgm_robust.checks.comparison import CheckConfig, percent
from mlvgm_robust.checks.known_noise import KnownNoise
from mlvgm_robust.checks.planted import plant

if TYPE_CHECKING:
    from mlvgm.attempts import AuditContext


class ActiveTestConfig(CheckConfig):
    """Options of active.test."""

    BUDGETS: ClassVar[Mapping[str, Mapping[str, object]]] = {"demo": {"images": 32}}

    images: int | None = Field(128, ge=1, description="first images it uses; all if null")
    found: float = Field(0.9, gt=0, le=1, description="share of planted examples the attack must find")
    share: float = Field(
        0.9, gt=0, lt=1, description="how far logits must move, of what a plain ascent is known to move them"
    )
    steps: int = Field(20, ge=2, description="of that ascent")


@dataclass(frozen=True)
class ActiveTest:
    """An attack that cannot find what is there cannot say that nothing is (Zimmermann et al., NeurIPS 2022).

    The classifier's head is replaced, image by image, so that a known point of the ball is misclassified; the noise of
    a random defence is held fixed, which makes that exact.
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
        if not bool(there.any()):
            raise NotRun("no example could be planted")
        found = float((attempt.right[there] < 0.5).double().mean())
        enough = found >= self.config.found
        return self.info.finding(
            "pass" if enough else "fail",
            f"the attack finds {percent(found)} of {int(there.sum())} planted adversarial examples"
            + ("" if enough else f", at least {percent(self.config.found)} are needed: it is too weak"),
            found=found,
            planted=int(there.sum()),
        )
