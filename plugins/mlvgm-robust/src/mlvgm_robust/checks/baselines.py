"""baselines: what reconstruction, noise and blur of the same strength would do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from mlvgm.noise import Keys
from mlvgm_robust.attacks.geometry import distance
from mlvgm_robust.audit.finding import CheckInfo, Finding, NotRun
from mlvgm_robust.audit.subject import Subject
from mlvgm_robust.checks.comparison import estimate, percent, points
from mlvgm_robust.checks.config import BaselinesConfig
from mlvgm_robust.checks.transfer_surrogate import with_other_alphas
from mlvgm_robust.evaluation.defence import Defence
from mlvgm_robust.purifiers.blur import Blur, gaussian_blur
from mlvgm_robust.purifiers.has_alphas import HasAlphas
from mlvgm_robust.purifiers.noise import AddNoise

if TYPE_CHECKING:
    from mlvgm_robust.audit.attempts import AuditContext


@dataclass(frozen=True)
class Baselines:
    """Clean and robust accuracy of the bare classifier, of α = 0, and of noise and blur that distort images as much.

    A defence no better than noise of its own strength needs no generator (the papers' own ablation, arXiv 2412.03453).
    """

    config: BaselinesConfig = field(default_factory=BaselinesConfig)
    info = CheckInfo("baselines", (17,))

    def __call__(self, subject: Subject, *, context: AuditContext) -> Finding:
        subject = subject.first(self.config.images)
        classifier, defence = subject.bare(), subject.defence
        if defence.purifier is None:
            raise NotRun("the subject is an undefended classifier")
        distortion = _distortion(subject)
        others = {
            "undefended": Defence(classifier),
            f"noise of L2 norm {distortion:.3g}": Defence(
                classifier, AddNoise(distortion), votes=defence.votes, rule=defence.rule
            ),
        }
        blur = _blur_of(subject, distortion)
        if blur is not None:
            others[f"blur of sigma {blur:.3g}"] = Defence(classifier, Blur(blur))
        if isinstance(defence.purifier, HasAlphas) and any(defence.purifier.alphas):
            others["α = 0"] = with_other_alphas(defence)
        own = context.attempt(subject)
        attempts = {"defence": own}
        attempts |= {name: context.attempt(subject, defence=other) for name, other in others.items()}
        figures = {name: (float(each.clean.mean()), each.accuracy) for name, each in attempts.items()}
        simple = [name for name in figures if name.startswith(("noise", "blur"))]
        beaten = [name for name in simple if figures[name][1] + self.config.margin >= figures["defence"][1]]
        said = ", ".join(
            f"{name} {percent(one.clean.mean())} / {estimate(one.right)}" for name, one in attempts.items()
        )
        return self.info.finding(
            "warn" if beaten else "pass",
            f"clean / robust accuracy of {len(subject)} images: {said}; a lead up to {points(self.config.margin)} "
            "over noise or blur is none" + (f": no better than {' and '.join(beaten)}" if beaten else ""),
            distortion=distortion,
            accuracy={name: {"clean": clean, "robust": robust} for name, (clean, robust) in figures.items()},
        )


def _distortion(subject: Subject) -> float:
    """Mean L2 distance of one purification from the image."""
    keys = Keys.of(seed=subject.protocol.seed, purpose="audit/distortion", samples=subject.samples)
    with torch.no_grad():
        purified = subject.defence.purify(subject.images, keys)
    if purified.shape != subject.images.shape:
        raise NotRun("purified images have another shape than the given ones")
    return float(distance(purified - subject.images, "L2").mean())


def _blur_of(subject: Subject, distortion: float) -> float | None:
    """Sigma of the blur with that mean L2 distance, by bisection; None where no blur reaches it."""
    low, high = 0.0, (min(subject.images.shape[2:]) - 1) / 4

    def reached(sigma: float) -> float:
        return float(distance(gaussian_blur(subject.images, sigma, None) - subject.images, "L2").mean())

    if distortion <= 0 or reached(high) < distortion:
        return None
    for _ in range(12):
        middle = (low + high) / 2
        low, high = (middle, high) if reached(middle) < distortion else (low, middle)
    return high
