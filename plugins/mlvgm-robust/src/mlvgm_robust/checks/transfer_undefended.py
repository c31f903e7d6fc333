"""transfer.undefended: images that fool the bare classifier must not beat the white box."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydantic import Field

from mlvgm.protocols.check import CheckInfo, Finding, NotRun, Subject
from mlvgm_robust.attacks.transfer import Transfer
from mlvgm_robust.checks.comparison import CheckConfig, counts, estimate, fallen

if TYPE_CHECKING:
    from mlvgm.audit.attempts import AuditContext


class TransferUndefendedConfig(CheckConfig):
    """Options of transfer.undefended."""

    margin: float = Field(0.002, ge=0, description="tolerated lead of the transfer, share of images")


@dataclass(frozen=True)
class TransferUndefended:
    """What the attack finds on the classifier without its defence breaks no more images of the defence."""

    config: TransferUndefendedConfig = field(default_factory=TransferUndefendedConfig)
    info = CheckInfo("transfer.undefended", (10,))

    def __call__(self, subject: Subject, *, context: AuditContext) -> Finding:
        subject.bare()
        subject = subject.first(self.config.images)
        if subject.defence.purifier is None:
            raise NotRun("the subject is an undefended classifier")
        if subject.attack.info.access == "classifier":
            raise NotRun("the attack under audit is a transfer itself")
        own, blind = context.attempt(subject), context.attempt(subject, Transfer(subject.attack))
        status, difference = fallen(own.right, blind.right, margin=self.config.margin)
        return self.info.finding(
            status,
            f"robust accuracy of {len(subject)} images {estimate(own.right)} in white box, {estimate(blind.right)} "
            f"under transfer from the bare classifier, p = {difference.p:.2g}; {counts('a lead', self.config.margin)}",
            white=own.accuracy,
            transfer=blind.accuracy,
            p=difference.p,
        )
