"""leak.images: the defence does not know the very images it is tested on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydantic import Field

from mlvgm.audit.attempts import worth
from mlvgm.harness import score
from mlvgm.noise import Keys, uniform
from mlvgm.protocols.check import CheckInfo, Finding, Subject
from mlvgm.statistics import wilson
from mlvgm_robust.checks.comparison import CheckConfig, changed, counts, estimate, points, worst

if TYPE_CHECKING:
    from mlvgm.audit.attempts import AuditContext


class LeakImagesConfig(CheckConfig):
    """Options of leak.images."""

    margin: float = Field(0.05, ge=0, description="tolerated change of accuracy under a change of images nobody sees")
    gap: float = Field(0.1, ge=0, description="tolerated lead over images that are not in the evaluation")


@dataclass(frozen=True)
class LeakImages:
    """Accuracy survives half a grey level of noise, and is that of other images of the same kind.

    A defence that recognises its test images, and answers from memory, loses that memory in both.
    """

    config: LeakImagesConfig = field(default_factory=LeakImagesConfig)
    info = CheckInfo("leak.images")

    def __call__(self, subject: Subject, *, context: AuditContext) -> Finding:
        subject = subject.first(self.config.images)
        keys = Keys.of(seed=subject.protocol.seed, purpose="audit/touched", samples=subject.samples)
        touch = (uniform(keys, "touch", subject.images.shape[1:]).to(subject.images) - 0.5) / 255
        known, _ = context.score(subject, subject.images, purpose="audit/untouched")
        touched, _ = context.score(subject, (subject.images + touch).clamp(0, 1), purpose="audit/touched")
        moved, difference = changed(known, touched, margin=self.config.margin)
        said = (
            f"clean accuracy of {len(subject)} images {estimate(known)}, {estimate(touched)} with half a grey level of "
            f"noise, p = {min(difference.p, difference.p_rise):.2g} ({counts('a difference', self.config.margin)})"
        )
        values = {"known": float(known.mean()), "touched": float(touched.mean())}
        statuses = [moved]
        if subject.reserve is not None:
            images, labels = subject.reserve
            scores = score(
                subject.defence,
                images,
                labels,
                samples=[-2 - row for row in range(len(images))],
                protocol=subject.protocol,
                purpose="audit/reserve",
            )
            other = worth(scores, subject.defence.votes if subject.defence.stochastic else 1)
            values["reserve"] = float(other.mean())
            gap = values["known"] - values["reserve"]
            # The variance of few images that are all right is 0, which would make any gap look sure.
            apart = wilson(float(known.sum()), len(known)).low > wilson(float(other.sum()), len(other)).high
            statuses.append("fail" if gap > self.config.gap and apart else "pass")
            said += (
                f"; {estimate(other)} on {len(images)} images outside the evaluation (more than "
                f"{points(self.config.gap)} lower with an interval apart counts)"
            )
        verdict = worst(*statuses)
        return self.info.finding(
            verdict, said + ("" if verdict == "pass" else ": the defence recognises its test images"), **values
        )
