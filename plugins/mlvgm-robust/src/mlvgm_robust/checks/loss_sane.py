"""loss.sane: logits, of a scale that does not saturate the loss, and no other loss does better."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from mlvgm.noise import Keys
from mlvgm_robust.attacks.apgd_ce import ApgdCe
from mlvgm_robust.attacks.apgd_dlr import ApgdDlr
from mlvgm_robust.audit.finding import CheckInfo, Finding, NotRun, Status
from mlvgm_robust.audit.subject import Subject, adjusted, effort
from mlvgm_robust.checks.comparison import counts, estimate, fallen, percent, worst
from mlvgm_robust.checks.config import LossSaneConfig
from mlvgm_robust.checks.power import answered, tried

if TYPE_CHECKING:
    from torch import Tensor

    from mlvgm.protocols.attack import Attack
    from mlvgm_robust.audit.attempts import AuditContext


@dataclass(frozen=True)
class LossSane:
    """The defence answers with finite logits, and cross-entropy and DLR (the margin where K < 3) break no more images.

    Probabilities in place of logits, and logits so large that their softmax rounds to 1, make the gradient of the
    cross-entropy vanish and a defence look robust (arXiv 1902.06705, section 5.4; arXiv 2003.01690, section 4).
    """

    config: LossSaneConfig = field(default_factory=LossSaneConfig)
    info = CheckInfo("loss.sane", (11,))

    def __call__(self, subject: Subject, *, context: AuditContext) -> Finding:
        subject = subject.first(self.config.images)
        logits = _logits(subject)
        if not bool(logits.isfinite().all()):
            broken = int((~logits.isfinite()).any(1).sum())
            return self.info.finding("fail", f"logits of {broken} of {len(subject)} images are NaN or infinite")
        scale, saturated = _scale(logits), _saturated(logits)
        values = {"scale": scale, "saturated": saturated, "classes": logits.shape[1]}
        said = (
            f"largest logit minus third {scale:.3g}; cross-entropy is exactly 0 for {percent(saturated)} of "
            f"{len(subject)} images ({percent(self.config.saturated)} tolerated)"
        )
        if are_probabilities(logits):
            return self.info.finding(
                "fail", f"outputs are probabilities, not logits: each row sums to 1; {said}", **values
            )
        statuses: list[Status] = ["warn" if saturated > self.config.saturated else "pass"]
        if subject.norm != "L1":
            own, others = context.attempt(subject), self._others(subject)
            said += f"; robust accuracy {estimate(own.right)}"
            for attack in others:
                other = context.attempt(subject, attack)
                values[attack.info.name] = other.accuracy
                status, difference = fallen(own.right, other.right, margin=self.config.margin)
                # Saturation that another loss gets around is masking; another loss that is luckier is a caveat.
                statuses.append("warn" if status == "fail" and saturated <= self.config.saturated else status)
                said += f", {estimate(other.right)} under {attack.info.name} (p = {difference.p:.2g})"
            said += f"; {counts('a lead', self.config.margin)}"
            if others:
                return answered(
                    self.info,
                    worst(*statuses),
                    said,
                    claimed=own.right,
                    chance=1 / logits.shape[1],
                    power=lambda: tried(subject, others[-1], context=context, margin=self.config.margin),
                    **values,
                )
        return self.info.finding(worst(*statuses), said, **values)

    def _others(self, subject: Subject) -> list[Attack]:
        info, count = subject.attack.info, self.config.iterations
        try:
            count = getattr(subject.attack, effort(subject.attack)) if info.access == "gradient" else count
            return [adjusted(kind(subject.norm, subject.eps), iterations=count) for kind in (ApgdCe, ApgdDlr)]
        except NotRun:
            return []


def _logits(subject: Subject) -> Tensor:
    keys = Keys.of(seed=subject.protocol.seed, purpose="audit/logits", samples=subject.samples)
    with torch.no_grad():
        return subject.defence.draw(subject.images, keys)[:, 0]


def are_probabilities(logits: Tensor) -> bool:
    """Whether every row is non-negative and sums to 1."""
    return bool((logits >= 0).all()) and torch.allclose(logits.sum(1), torch.ones_like(logits[:, 0]), atol=1e-4)


def _scale(logits: Tensor) -> float:
    largest = logits.topk(min(3, logits.shape[1]), dim=1).values
    return float((largest[:, 0] - largest[:, -1]).median())


def _saturated(logits: Tensor) -> float:
    return float((logits.log_softmax(1).amax(1) == 0).double().mean())
