"""leak.images: the defence does not know the images it is tested on, nor what is near to them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import torch

from mlvgm.noise import Keys, uniform
from mlvgm.statistics import wilson
from mlvgm_robust.audit.attempts import worth
from mlvgm_robust.audit.finding import CheckInfo, Finding, NotRun, Status
from mlvgm_robust.audit.subject import Subject, adjusted
from mlvgm_robust.checks.comparison import changed, counts, estimate, fallen, percent, points, worst
from mlvgm_robust.checks.config import LeakImagesConfig
from mlvgm_robust.checks.power import answered, tried
from mlvgm_robust.evaluation.harness import score

if TYPE_CHECKING:
    from torch import Tensor

    from mlvgm_robust.audit.attempts import AuditContext


@dataclass(frozen=True)
class LeakImages:
    """Accuracy survives half a grey level of noise; clean and robust accuracy are those of other images.

    Others are images of the same data that are not in the evaluation, and the evaluation's own, moved so far that they
    leave the ball. Robust accuracy is compared under the same attack at several radii, of the images that are right
    without one. A defence that recognises its test images, or whatever is near to them, loses that memory in the
    others. Moved images are unusual, hence the wide margin.
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
            statuses.append(self._lead(known, other))
            said += (
                f"; {estimate(other)} on {len(images)} images outside the evaluation (more than "
                f"{points(self.config.gap)} lower with an interval apart counts)"
            )
        nearby = self._nearby(subject, context)
        statuses += [status for status, _ in nearby]
        said += "".join(f"; {text}" for _, text in nearby)
        verdict = worst(*statuses)
        return answered(
            self.info,
            verdict,
            said + ("" if verdict == "pass" else ": the defence recognises its test images"),
            claimed=context.attempt(subject).right,
            chance=1 / subject.defence.classes,
            power=lambda: tried(subject, context=context, margin=self.config.gap),
            **values,
        )

    def _lead(self, known: Tensor, other: Tensor) -> Status:
        # The variance of few images that are all right is 0, which would make any gap look sure.
        apart = wilson(float(known.sum()), len(known)).low > wilson(float(other.sum()), len(other)).high
        gap = float(known.mean() - other.mean())
        return "fail" if gap > self.config.gap and apart else "pass"

    def _nearby(self, subject: Subject, context: AuditContext) -> list[tuple[Status, str]]:
        """Robust accuracy of the evaluation's images against that of others, by radius."""
        subject = subject.first(self.config.attacked)
        eps = subject.attack.info.eps
        if eps is None or subject.attack.info.needs_generator:
            return []
        found: list[tuple[Status, str]] = []
        for factor in self.config.factors:
            try:
                attack = subject.attack if factor == 1 else adjusted(subject.attack, eps=factor * eps)
            except NotRun:
                continue
            own = context.attempt(subject, attack)
            if subject.reserve is not None:
                images, labels = (each[: len(subject)] for each in subject.reserve)
                others = replace(
                    subject, images=images, labels=labels, samples=[-2 - row for row in range(len(images))]
                )
                other = context.attempt(others, attack)
                mine, theirs = own.right[own.clean > 0.5], other.right[other.clean > 0.5]
                if len(mine) and len(theirs):
                    found.append(
                        (
                            self._lead(mine, theirs),
                            f"of those right without attack, robust at {attack.info.eps:g} are {estimate(mine)} and "
                            f"{estimate(theirs)} of others",
                        )
                    )
            away = context.attempt(_moved(subject, eps), attack)
            both = (own.clean > 0.5) & (away.clean > 0.5)
            if bool(both.any()):
                status, difference = fallen(own.right[both], away.right[both], margin=self.config.moved)
                found.append(
                    (
                        status,
                        f"moved out of the ball they are robust to {percent(away.right[both].mean())} (p = "
                        f"{difference.p:.2g}; {counts('a fall', self.config.moved)})",
                    )
                )
        return found


def _moved(subject: Subject, eps: float) -> Subject:
    """Each image moved by one pixel, or by as few as bring it out of twice the ball, in a direction of its own."""
    keys = Keys.of(seed=subject.protocol.seed, purpose="audit/moved", samples=subject.samples)
    way = (4 * uniform(keys, "way", ())).long().tolist()
    moved = []
    for image, number in zip(subject.images, way, strict=True):
        axis, sign = 1 + number % 2, 1 if number < 2 else -1
        for pixels in range(1, 4):
            candidate = image.roll(sign * pixels, axis)
            if float((candidate - image).norm()) > 2 * _length(eps, subject):
                break
        moved.append(candidate)
    return replace(subject, images=torch.stack(moved))


def _length(eps: float, subject: Subject) -> float:
    """L2 length of the longest perturbation in the ball."""
    return eps * subject.images[0].numel() ** 0.5 if subject.norm == "Linf" else eps
