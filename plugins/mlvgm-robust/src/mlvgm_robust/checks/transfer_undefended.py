"""transfer.undefended: images that fool an undefended classifier must not beat the white box."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mlvgm_robust.attacks.transfer import Transfer
from mlvgm_robust.audit.finding import CheckInfo, Finding, NoPower, NotRun
from mlvgm_robust.audit.subject import Subject
from mlvgm_robust.checks.comparison import counts, estimate, fallen, worst
from mlvgm_robust.checks.config import TransferUndefendedConfig
from mlvgm_robust.checks.power import Power, answered, tried
from mlvgm_robust.evaluation.defence import Defence

if TYPE_CHECKING:
    from mlvgm.protocols.classifier import Classifier
    from mlvgm_robust.audit.attempts import AuditContext


@dataclass(frozen=True)
class TransferUndefended:
    """What the attack finds on a classifier without defence breaks no more images of the defence.

    On the one behind the purifier, where it is known, and on a reference of the same task, which needs no look inside.
    """

    config: TransferUndefendedConfig = field(default_factory=TransferUndefendedConfig)
    info = CheckInfo("transfer.undefended", (10,))

    def __call__(self, subject: Subject, *, context: AuditContext) -> Finding:
        subject = subject.first(self.config.images)
        if subject.attack.info.access == "classifier":
            raise NotRun("the attack under audit is a transfer itself")
        sources = self._sources(subject)
        own, statuses, said, values = context.attempt(subject), [], [], {}
        for name, source in sources.items():
            blind = context.attempt(subject, Transfer(subject.attack, source))
            status, difference = fallen(own.right, blind.right, margin=self.config.margin)
            statuses.append(status)
            said.append(f"{estimate(blind.right)} under transfer from {name} (p = {difference.p:.2g})")
            values[name] = blind.accuracy
        first = next(iter(sources.values()))

        def power() -> Power:
            return tried(subject, context=context, margin=self.config.margin, twin=Defence(first or subject.bare()))

        return answered(
            self.info,
            worst(*statuses),
            f"robust accuracy of {len(subject)} images {estimate(own.right)} in white box, {', '.join(said)}; "
            f"{counts('a lead', self.config.margin)}",
            claimed=own.right,
            chance=1 / subject.defence.classes,
            power=power,
            white=own.accuracy,
            transfer=values,
        )

    def _sources(self, subject: Subject) -> dict[str, Classifier | None]:
        """By name; None is the classifier behind the purifier."""
        sources: dict[str, Classifier | None] = {}
        if subject.classifier is not None and subject.defence.purifier is not None:
            sources["the bare classifier"] = None
        if subject.reference is not None and subject.reference is not subject.classifier:
            sources["another classifier of the task"] = subject.reference
        if sources:
            return sources
        if subject.defence.purifier is None:
            raise NotRun("the subject is an undefended classifier, and no other of its task is known")
        raise NoPower("the bare classifier behind the module is unknown; name it with --classifier")
