"""randomness.protocol: what fresh noise, votes and known noise are worth."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mlvgm_robust.audit.finding import CheckInfo, Finding
from mlvgm_robust.audit.subject import Subject
from mlvgm_robust.checks.comparison import estimate, points
from mlvgm_robust.checks.config import RandomnessProtocolConfig
from mlvgm_robust.checks.known_noise import KnownNoise

if TYPE_CHECKING:
    from mlvgm_robust.audit.attempts import AuditContext


@dataclass(frozen=True)
class RandomnessProtocol:
    """Three numbers: single fresh draws, the vote, and an attacker who knows the draw (deterministic white box).

    Known noise that does much more damage says that the robustness is in the secrecy of the noise (arXiv 2505.22839).
    """

    config: RandomnessProtocolConfig = field(default_factory=RandomnessProtocolConfig)
    info = CheckInfo("randomness.protocol", (5,))

    def __call__(self, subject: Subject, *, context: AuditContext) -> Finding:
        if not subject.defence.stochastic:
            return self.info.finding("pass", "deterministic: fresh, voted and known noise are one")
        subject.replayed()
        subject = subject.first(self.config.images)
        own = context.attempt(subject).attacked.robust
        attempt = context.attempt(subject, defence=KnownNoise.of(subject.defence, seed=subject.protocol.seed))
        known = attempt.accuracy
        fresh, vote = float(own.single.mean()), float(own.right.double().mean())
        secret = known < fresh - self.config.margin
        return self.info.finding(
            "warn" if secret else "pass",
            f"robust accuracy of {len(subject)} images {estimate(own.single)} for single fresh draws, "
            f"{estimate(own.right.double())} for {subject.defence.votes} votes, {estimate(attempt.right)} where the "
            f"attacker knows the draw; more than {points(self.config.margin)} below single draws counts"
            + (": part of the robustness is the secrecy of the noise" if secret else ""),
            fresh=fresh,
            vote=vote,
            votes=subject.defence.votes,
            known=known,
            draws=subject.protocol.score,
        )
