"""statistics: enough images, with intervals, paired against the undefended classifier."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from mlvgm.statistics import mcnemar, wilson
from mlvgm_robust.audit.finding import CheckInfo, Finding
from mlvgm_robust.audit.subject import Subject
from mlvgm_robust.checks.comparison import percent
from mlvgm_robust.checks.config import StatisticsConfig
from mlvgm_robust.evaluation.defence import Defence

if TYPE_CHECKING:
    from mlvgm_robust.audit.attempts import AuditContext


@dataclass(frozen=True)
class Statistics:
    """Images, seeds, Wilson intervals, McNemar's test against the undefended classifier, hash of the sample."""

    config: StatisticsConfig = field(default_factory=StatisticsConfig)
    info = CheckInfo("statistics", (16,))

    def __call__(self, subject: Subject, *, context: AuditContext) -> Finding:
        samples, labels = [int(sample) for sample in subject.samples], subject.labels.tolist()
        sample_hash = hashlib.sha256(repr((samples, labels)).encode()).hexdigest()
        if len(set(samples)) < len(samples):
            return self.info.finding(
                "fail", f"{len(samples) - len(set(samples))} sample ids occur twice", sample_sha256=sample_hash
            )
        own = context.attempt(subject).attacked
        robust, clean = (wilson(int(right.sum()), len(right)) for right in (own.robust.right, own.clean.right))
        values: dict[str, Any] = {"images": len(subject), "sample_sha256": sample_hash, "seed": subject.protocol.seed}
        values |= {"robust": [robust.low, robust.value, robust.high], "clean": [clean.low, clean.value, clean.high]}
        paired = ""
        if subject.classifier is not None and subject.defence.purifier is not None:
            bare = context.attempt(subject, defence=Defence(subject.classifier)).attacked.robust.right
            values["mcnemar"] = mcnemar(own.robust.right, bare)
            paired = f"; against {percent(bare.double().mean())} undefended, McNemar p = {values['mcnemar']:.2g}"
        others = [
            context.attempt(subject, protocol=replace(subject.protocol, seed=subject.protocol.seed + more)).attacked
            for more in range(1, self.config.seeds)
        ]
        values["seeds"] = [float(each.robust.right.double().mean()) for each in (own, *others)]
        wanting = [f"{self.config.least} images"] if len(subject) < self.config.least else []
        wanting += [f"{self.config.least_seeds} seeds"] if self.config.seeds < self.config.least_seeds else []
        spread = f"; {min(values['seeds']):.3f} to {max(values['seeds']):.3f} over {len(values['seeds'])} seeds"
        return self.info.finding(
            "warn" if wanting else "pass",
            f"{len(subject)} images: robust {robust.percent()} %, clean {clean.percent()} % (Wilson 95 %)"
            + (spread if others else "")
            + paired
            + (f"; at least {' and '.join(wanting)} are wanted" if wanting else ""),
            **values,
        )
