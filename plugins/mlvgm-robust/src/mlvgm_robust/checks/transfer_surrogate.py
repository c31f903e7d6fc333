"""transfer.surrogate: images that fool a like purifier must not beat the white box."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from mlvgm_robust.audit.finding import CheckInfo, Finding, NotRun
from mlvgm_robust.audit.subject import Subject
from mlvgm_robust.checks.comparison import counts, estimate, fallen
from mlvgm_robust.checks.config import TransferSurrogateConfig
from mlvgm_robust.checks.power import answered, tried
from mlvgm_robust.purifiers.has_alphas import HasAlphas

if TYPE_CHECKING:
    from mlvgm_robust.audit.attempts import AuditContext
    from mlvgm_robust.evaluation.defence import Defence


@dataclass(frozen=True)
class TransferSurrogate:
    """What the attack finds on the same purifier with other alphas breaks no more images of the defence.

    The surrogate reconstructs (all alphas 0); a purifier that already does resamples by half.
    """

    config: TransferSurrogateConfig = field(default_factory=TransferSurrogateConfig)
    info = CheckInfo("transfer.surrogate", (10,))

    def __call__(self, subject: Subject, *, context: AuditContext) -> Finding:
        subject = subject.first(self.config.images)
        surrogate = with_other_alphas(subject.defence)
        own, other = context.attempt(subject), context.attempt(subject, defence=surrogate)
        right, _ = context.score(subject, other.attacked.images)
        status, difference = fallen(own.right, right, margin=self.config.margin)
        return answered(
            self.info,
            status,
            f"robust accuracy of {len(subject)} images {estimate(own.right)} in white box, {estimate(right)} under "
            f"transfer from the same purifier with other alphas, p = {difference.p:.2g}; "
            f"{counts('a lead', self.config.margin)}",
            claimed=own.right,
            chance=1 / subject.defence.classes,
            power=lambda: tried(subject, context=context, margin=self.config.margin, twin=surrogate),
            white=own.accuracy,
            transfer=float(right.mean()),
            p=difference.p,
        )


def with_other_alphas(defence: Defence) -> Defence:
    """The defence whose purifier keeps every latent, or half of each where it already does.

    Raises:
        NotRun: its purifier has no alphas.
    """
    purifier = defence.purifier
    if not isinstance(purifier, HasAlphas):
        raise NotRun("the purifier has no alphas")
    other = (0.0 if any(purifier.alphas) else 0.5,) * len(purifier.alphas)
    return replace(defence, purifier=purifier.with_alphas(other))
