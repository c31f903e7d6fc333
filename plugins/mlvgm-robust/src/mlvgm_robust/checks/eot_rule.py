"""eot.rule: the attack's objective is that of the deployed decision."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import torch

from mlvgm_robust.attacks.losses import cross_entropy
from mlvgm_robust.audit.finding import CheckInfo, Finding
from mlvgm_robust.audit.subject import Subject
from mlvgm_robust.checks.comparison import counts, estimate, fallen
from mlvgm_robust.checks.config import EotRuleConfig
from mlvgm_robust.evaluation.target import Target

if TYPE_CHECKING:
    from mlvgm_robust.audit.attempts import AuditContext


@dataclass(frozen=True)
class EotRule:
    """A vote is attacked through the loss of its aggregated logits, a single draw through the mean loss of draws.

    The objective that gradients follow is recomputed from the same draws. Where several draws vote, the attack is also
    run on the other objective, and its images are judged by the vote.
    """

    config: EotRuleConfig = field(default_factory=EotRuleConfig)
    info = CheckInfo("eot.rule", (3,))

    def __call__(self, subject: Subject, *, context: AuditContext) -> Finding:
        defence = subject.defence
        subject = subject.first(self.config.images)
        if not defence.stochastic:
            return self.info.finding("pass", "deterministic: one draw decides, and its loss is what attacks follow")
        exact = _objective_matches(subject, self.config.draws)
        rule = f"{defence.votes} votes ({defence.rule})" if defence.votes > 1 else "single draws"
        if not exact:
            return self.info.finding(
                "fail", f"the loss that gradients follow is not that of {rule}", votes=defence.votes
            )
        if defence.votes == 1:
            return self.info.finding("pass", "single draws decide, and attacks follow their mean loss", votes=1)
        own = context.attempt(subject)
        other = context.attempt(subject, defence=replace(defence, votes=1))
        judged, _ = context.score(subject, other.attacked.images)
        status, difference = fallen(own.right, judged, margin=self.config.margin)
        return self.info.finding(
            "pass" if status == "pass" else "warn",
            f"attacks follow the loss of {rule}: robust accuracy of {len(subject)} images {estimate(own.right)}, "
            f"against {estimate(judged)} for images found through the mean loss of single draws, p = "
            f"{difference.p:.2g}; " + counts("a lead of the latter", self.config.margin),
            votes=defence.votes,
            rule=defence.rule,
            lead_of_other=difference.fall,
            p=difference.p,
        )


def _objective_matches(subject: Subject, draws: int) -> bool:
    """Loss of ``Target.gradient`` against the same draws aggregated here."""
    protocol, defence = subject.protocol, subject.defence
    target = Target(defence, samples=subject.samples, seed=protocol.seed, purpose="audit/rule", memory=protocol.memory)
    found, _, logits = target.gradient(subject.images, cross_entropy, subject.labels, draws=draws)
    if defence.votes == 1:
        losses = [cross_entropy(logits[:, draw], subject.labels) for draw in range(draws)]
        expected = torch.stack(losses).mean(0)
    elif defence.rule == "logits":
        expected = cross_entropy(logits.mean(1), subject.labels)
    else:
        expected = -logits.softmax(2).mean(1).gather(1, subject.labels[:, None]).squeeze(1).log()
    return torch.allclose(found, expected, rtol=1e-3, atol=1e-4)
