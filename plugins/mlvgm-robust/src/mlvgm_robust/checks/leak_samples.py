"""leak.samples: the defence does not know which sample it sees."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from mlvgm.noise import Keys, uniform
from mlvgm_robust.audit.finding import CheckInfo, Finding
from mlvgm_robust.audit.subject import Subject
from mlvgm_robust.checks.comparison import SURE, changed, counts, estimate, percent, worst
from mlvgm_robust.checks.config import LeakSamplesConfig

if TYPE_CHECKING:
    from torch import Tensor

    from mlvgm_robust.audit.attempts import AuditContext


@dataclass(frozen=True)
class LeakSamples:
    """Accuracy is the same under other sample ids, and images of pure noise are labelled no better than by chance.

    A defence that looks its label up by the id that names its noise fails both.
    """

    config: LeakSamplesConfig = field(default_factory=LeakSamplesConfig)
    info = CheckInfo("leak.samples")

    def __call__(self, subject: Subject, *, context: AuditContext) -> Finding:
        subject = subject.first(self.config.images)
        known, _ = context.score(subject, subject.images, purpose="audit/own ids")
        ids = [int(sample) for sample in subject.samples]
        exchanged = ids[1:] + ids[:1]
        other, _ = context.score(subject, subject.images, purpose="audit/other ids", samples=exchanged)
        moved, difference = changed(known, other, margin=self.config.margin)
        agreement, p = _label_free(subject)
        guessed = p < SURE
        return self.info.finding(
            worst(moved, "fail" if guessed else "pass"),
            f"clean accuracy of {len(subject)} images {estimate(known)}, with exchanged sample ids {estimate(other)}, "
            f"p = {min(difference.p, difference.p_rise):.2g} ({counts('a difference', self.config.margin)}); images "
            f"of pure noise get their sample's label in {percent(agreement)} of draws, p = {p:.2g} (below {SURE:g} "
            "counts)" + ("" if moved == "pass" and not guessed else ": the defence recognises samples"),
            known=float(known.mean()),
            exchanged=float(other.mean()),
            noise=agreement,
            p_exchanged=min(difference.p, difference.p_rise),
            p_noise=p,
        )


def _label_free(subject: Subject, *, permutations: int = 2000) -> tuple[float, float]:
    """Agreement of decisions about label-free images with the labels, and how rarely shuffled labels agree as much."""
    protocol = subject.protocol
    keys = Keys.of(seed=protocol.seed, purpose="audit/noise", samples=subject.samples)
    images = uniform(keys, "image", subject.images.shape[1:]).to(subject.images)
    rows = Keys.of(seed=protocol.seed, purpose="audit/noise", samples=subject.samples, draws=range(4))
    with torch.no_grad():
        decisions = subject.defence.draw(images, rows).argmax(2).cpu()
    labels = subject.labels.cpu()

    def agreement(assigned: Tensor) -> float:
        return float((decisions == assigned[:, None]).double().mean())

    generator = torch.Generator().manual_seed(protocol.seed)
    shuffled = [agreement(labels[torch.randperm(len(labels), generator=generator)]) for _ in range(permutations)]
    seen = agreement(labels)
    return seen, (sum(each >= seen for each in shuffled) + 1) / (permutations + 1)
