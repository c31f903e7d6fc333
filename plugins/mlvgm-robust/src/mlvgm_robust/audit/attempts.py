"""Attacks that an audit runs, each once for all its checks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mlvgm.protocols.attack import Attack, AttackContext, AttackInfo
from mlvgm_robust.audit.subject import Subject
from mlvgm_robust.evaluation.defence import Defence
from mlvgm_robust.evaluation.harness import Attacked, Protocol, Scores, score
from mlvgm_robust.evaluation.target import Target


@dataclass(frozen=True)
class Attempt:
    """One attack on one defence, scored by the subject's judge.

    Args:
        attacked: what the judge says.
        returned: what the attack itself returned in each of its calls, before anything was checked.
        info: of the attack.
        votes: draws in one deployed decision, 1 for a deterministic defence.
    """

    attacked: Attacked
    returned: tuple[Tensor, ...]
    info: AttackInfo
    votes: int

    @property
    def right(self) -> Tensor:
        """(n,) what the deployed decision is worth on each adversarial image, in [0, 1]: see :func:`worth`."""
        return worth(self.attacked.robust, self.votes)

    @property
    def clean(self) -> Tensor:
        """(n,) the same on the given images."""
        return worth(self.attacked.clean, self.votes)

    @property
    def accuracy(self) -> float:
        return float(self.right.mean())

    def first(self, count: int) -> Attempt:
        """The same of the first ``count`` images; what was spent stays that of the whole run."""
        a, rows = self.attacked, slice(0, count)
        part = replace(
            a,
            clean=Scores(a.clean.right[rows], a.clean.single[rows]),
            robust=Scores(a.robust.right[rows], a.robust.single[rows]),
            chance=a.chance[rows],
            images=a.images[rows],
            norm=a.norm[rows],
            violations=a.violations[rows],
            notes={name: values[rows] for name, values in a.notes.items()},
        )
        return replace(self, attacked=part, returned=tuple(each[rows] for each in self.returned))


def worth(scores: Scores, votes: int) -> Tensor:
    """(n,) share of right decisions: of single draws where one decides (many are scored), else of the one vote."""
    return scores.single.double() if votes == 1 else scores.right.double()


class _Recorded:
    """An attack that remembers what it returned."""

    def __init__(self, attack: Attack) -> None:
        self.attack = attack
        self.returned: list[Tensor] = []

    @property
    def info(self) -> AttackInfo:
        return self.attack.info

    def __call__(
        self, target: Target, images: Tensor, labels: Tensor, *, targets: Tensor | None = None, context: AttackContext
    ) -> Tensor:
        returned = self.attack(target, images, labels, targets=targets, context=context)
        if isinstance(returned, Tensor):  # the judge refuses anything else
            self.returned.append(returned.detach())
        return returned


@dataclass(frozen=True)
class _Run:
    subject: Subject
    attack: Attack
    defence: Defence
    protocol: Protocol
    attempt: Attempt

    def serves(self, subject: Subject, attack: Attack, defence: Defence, protocol: Protocol) -> bool:
        """Whether this is the run asked for, on these images or on more that begin with them."""
        count, known = len(subject), self.subject
        return (
            self.protocol == protocol
            and known.judge == subject.judge
            and _same(self.attack, attack)
            and _same(self.defence, defence)
            and list(known.samples[:count]) == list(subject.samples)
            and torch.equal(known.images[:count], subject.images)
            and torch.equal(known.labels[:count], subject.labels)
        )


@dataclass
class AuditContext:
    """What a check gets beside the subject.

    Args:
        folder: where files may go; None where none are kept.
        progress: called with sentences about what is going on.

    Example:
        >>> attempt = AuditContext().attempt(subject)                            # doctest: +SKIP
        >>> stronger = context.attempt(subject, adjusted(subject.attack, iterations=200))   # doctest: +SKIP
    """

    folder: Path | None = None
    progress: Callable[[str], None] = lambda message: None
    _runs: list[_Run] = field(default_factory=list)

    def attempt(
        self,
        subject: Subject,
        attack: Attack | None = None,
        *,
        defence: Defence | None = None,
        protocol: Protocol | None = None,
    ) -> Attempt:
        """Run an attack on the subject's images, or take what an earlier check ran.

        A run on more images, of which these are the first, serves as well: the result of an image is its own.

        Args:
            subject: gives images, labels, sample ids and judge.
            attack: the subject's by default.
            defence: the subject's by default.
            protocol: the subject's by default.
        """
        attack, defence = attack or subject.attack, defence or subject.defence
        protocol = protocol or subject.protocol
        for run in self._runs:
            if run.serves(subject, attack, defence, protocol):
                return run.attempt.first(len(subject))
        recorded = _Recorded(attack)
        attacked = subject.judge(
            defence,
            recorded,
            subject.images,
            subject.labels,
            samples=subject.samples,
            protocol=protocol,
            progress=self.progress,
        )
        votes = defence.votes if defence.stochastic else 1
        attempt = Attempt(attacked, tuple(recorded.returned), attack.info, votes)
        self._runs.append(_Run(subject, attack, defence, protocol, attempt))
        return attempt

    def attempts(self, subject: Subject) -> list[Attempt]:
        """Every attack that was run on the subject's own defence and on all its images, within its ball."""
        limit = subject.attack.info

        def counts(run: _Run) -> bool:
            info = run.attempt.info
            inside = limit.eps is None or (info.eps is not None and info.eps <= limit.eps)
            return inside and info.norm == limit.norm and run.serves(subject, run.attack, subject.defence, run.protocol)

        return [run.attempt.first(len(subject)) for run in self._runs if counts(run)]

    def score(
        self,
        subject: Subject,
        images: Tensor,
        *,
        purpose: str = "score/adversarial",
        samples: Sequence[int] | None = None,
    ) -> tuple[Tensor, Scores]:
        """Judge images on fresh draws, whatever the subject's own judge would say.

        Args:
            subject: gives labels, sample ids and protocol.
            images: (n, C, H, W), one for each of the subject's.
            purpose: stream of the noise; by default the one that
                :func:`mlvgm_robust.evaluation.harness.run_attack` scores with.
            samples: other sample ids.

        Returns:
            (n,) shares of right decisions, see :func:`worth`, and the scores.
        """
        scores = score(
            subject.defence,
            images,
            subject.labels,
            samples=subject.samples if samples is None else samples,
            protocol=subject.protocol,
            purpose=purpose,
        )
        return worth(scores, subject.defence.votes if subject.defence.stochastic else 1), scores


def _same(one: Any, other: Any) -> bool:
    """Whether two things are made of the same: plain values by value, tensors and modules by identity."""
    if one is other:
        return True
    if type(one) is not type(other) or isinstance(one, Tensor):
        return False
    if is_dataclass(one):
        return all(_same(getattr(one, each.name), getattr(other, each.name)) for each in fields(one) if each.compare)
    if isinstance(one, (tuple, list)):
        return len(one) == len(other) and all(map(_same, one, other))
    return isinstance(one, (str, int, float, range)) and bool(one == other)
