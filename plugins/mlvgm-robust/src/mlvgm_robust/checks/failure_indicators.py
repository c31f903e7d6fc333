"""failure.indicators: signs, image by image, that an attack failed for reasons of its own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from mlvgm_robust.attacks.geometry import project, steepest
from mlvgm_robust.attacks.losses import margin as margin_loss
from mlvgm_robust.audit.finding import CheckInfo, Finding
from mlvgm_robust.audit.subject import Subject
from mlvgm_robust.checks.comparison import counts, estimate, fallen, percent, worst
from mlvgm_robust.checks.config import FailureIndicatorsConfig
from mlvgm_robust.checks.power import answered, tried_by
from mlvgm_robust.evaluation.target import Target

if TYPE_CHECKING:
    from torch import Tensor

    from mlvgm_robust.audit.attempts import AuditContext


@dataclass(frozen=True)
class FailureIndicators:
    """Unavailable gradient, unstable predictions, and an attack that stopped while the loss still rose.

    After Pintor et al. (arXiv 2106.09947). From each image the attack returned, a few plain steps up the margin go on;
    if they break more, the attack has stopped too early, whatever the reason. Silent success cannot be seen from
    outside, but is caught by the same: the steps find it again. Transfer and unbounded failure are
    ``transfer.undefended`` and ``sanity.unbounded``.
    """

    config: FailureIndicatorsConfig = field(default_factory=FailureIndicatorsConfig)
    info = CheckInfo("failure.indicators", (13,))

    def __call__(self, subject: Subject, *, context: AuditContext) -> Finding:
        subject = subject.first(self.config.images)
        eps = subject.eps
        own = context.attempt(subject)
        robust = own.attacked.robust
        unstable = (robust.single - 0.5).abs() < 0.15
        further, losses, gone = _continued(subject, own.attacked.images, steps=self.config.steps, eps=eps)
        # Not the stream of the steps, which would be judged on the very noise they have climbed.
        before, _ = context.score(subject, own.attacked.images, purpose="audit/continued/score")
        after, _ = context.score(subject, further, purpose="audit/continued/score")
        status, difference = fallen(before, after, margin=self.config.margin)
        stopped = (before - after) > 0.5
        statuses = [status]
        statuses += ["warn"] if float(gone.double().mean()) > self.config.unavailable else []
        noisy = subject.defence.stochastic and subject.defence.votes == 1
        statuses += ["warn"] if noisy and float(unstable.double().mean()) > self.config.unstable else []

        def steps_alone(evaluation: Subject) -> Tensor:
            return _continued(evaluation, evaluation.images, steps=self.config.steps, eps=eps)[0]

        return answered(
            self.info,
            worst(*statuses),
            f"{self.config.steps} plain steps on from where the attack stopped take robust accuracy of {len(subject)} "
            f"images from {estimate(before)} to {estimate(after)}, p = {difference.p:.2g}; "
            + counts("a fall", self.config.margin)
            + ("" if status == "pass" else ": it stopped too early")
            + f"; no gradient for {int(gone.sum())} images ({percent(self.config.unavailable)} tolerated), draws "
            f"disagree on {int(unstable.sum())}" + (f" ({percent(self.config.unstable)} tolerated)" if noisy else ""),
            claimed=own.right,
            chance=1 / subject.defence.classes,
            power=lambda: tried_by(subject, steps_alone, context=context, margin=self.config.margin),
            stopped_early=stopped.tolist(),
            unavailable_gradient=gone.tolist(),
            unstable=unstable.tolist(),
            loss=losses,
            p=difference.p,
        )


def _continued(subject: Subject, images: Tensor, *, steps: int, eps: float) -> tuple[Tensor, list[float], Tensor]:
    """Where plain ascent of the margin leads from ``images``, mean losses, and whether there was no gradient."""
    protocol, point = subject.protocol, images
    target = Target(
        subject.defence,
        samples=subject.samples,
        seed=protocol.seed,
        purpose="audit/continued",
        eot=protocol.eot,
        memory=protocol.memory,
        gradient=protocol.gradient,
    )
    losses, gone = [], torch.ones(len(images), dtype=torch.bool, device=images.device)
    for step in range(steps):
        try:
            loss, gradient, _ = target.gradient(point, margin_loss, subject.labels)
        except RuntimeError:  # autograd has found no way
            break
        losses.append(float(loss.mean()))
        gone &= ~(gradient != 0).flatten(1).any(1)
        size = 0.4 * eps * (1 - step / steps)
        point = project(point + size * steepest(gradient, subject.norm), subject.images, norm=subject.norm, eps=eps)
    return point, losses, gone
