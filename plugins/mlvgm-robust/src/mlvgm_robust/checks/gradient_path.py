"""gradient.path: the attack sees the whole defence with its true gradient."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from mlvgm.noise import Keys, normal
from mlvgm.statistics import wilson
from mlvgm_robust.attacks.geometry import distance, per_image, project
from mlvgm_robust.audit.finding import CheckInfo, Finding
from mlvgm_robust.audit.subject import Subject
from mlvgm_robust.checks.comparison import percent
from mlvgm_robust.checks.config import GradientPathConfig
from mlvgm_robust.checks.differences import central_errors, gradient_of, inward_errors
from mlvgm_robust.checks.doubled import doubled
from mlvgm_robust.checks.known_noise import KnownNoise

if TYPE_CHECKING:
    from torch import Tensor

    from mlvgm_robust.audit.attempts import Attempt, AuditContext

_FEW = 0.01  # share of an image's pixels below which a group of them is not looked at
_SMALL = 0.2  # a group's slopes are judged by this share of the whole image's, at least


@dataclass(frozen=True)
class GradientPath:
    """Autograd's gradient of the margin exists, is finite and not zero, and agrees with finite differences.

    With the noise frozen, at the given images, at what the attack made of them, half-way, and at random points of the
    ball (Athalye et al., arXiv 1802.00420, section 3). In float64 where the defence can be copied into it, by central
    differences inside the box, where clamps have no kink. And in float32, where attacks work, at the very points, by
    one-sided differences into the box: of all pixels, and of those that are exactly 0 or 1 alone. Rectifiers
    have kinks, so that a step of 0.01 leaves nine of ten images of sound classifiers within 0.15; a gradient of which
    half is missing or wrong is 0.4 off. It fails where the 95 % Wilson interval of the share of images within 0.3 ends
    below 85 %.
    """

    config: GradientPathConfig = field(default_factory=GradientPathConfig)
    info = CheckInfo("gradient.path", (1,))

    def __call__(self, subject: Subject, *, context: AuditContext) -> Finding:
        whole, subject = subject, subject.first(self.config.images)
        declared = subject.protocol.gradient
        kind = "bpda" if declared == "bpda" or not subject.defence.differentiable else "exact"
        if not subject.defence.differentiable:
            return self.info.finding(
                "warn", "the purifier declares no gradient: attacks follow BPDA and transfer", gradient=kind
            )
        try:
            gradient_of(subject, subject.defence, subject.images)
        except RuntimeError as error:  # autograd has found no way from the logits to the images
            reason = " ".join(str(error).split())
            return self.info.finding("fail", f"no gradient leads from the logits to the images: {reason}")
        points = dict(_points(subject, context.attempt(whole).first(len(subject))))
        for where, each in points.items():
            alive = self._alive(subject, each)
            if alive < self.config.alive:
                return self.info.finding(
                    "fail",
                    f"the gradient is finite and not zero for {percent(alive)} of {len(subject)} images only, at "
                    f"{where}, and at least {percent(self.config.alive)} are needed: it is masked or detached",
                    alive=alive,
                    gradient=kind,
                )
        subject.replayed()
        wrong, usable = self._single(subject, points)
        agreeing = self._double(subject, points)
        statement = (
            f"the gradient is finite and not zero for {percent(self.config.alive)} of {len(subject)} images and more, "
            f"at {', '.join(points)}; in float32 "
        )
        if wrong:
            return self.info.finding(
                "fail",
                f"{statement}{'; '.join(wrong)} agree with finite differences within {self.config.single_error:g}, and "
                f"surely fewer than {percent(self.config.usable)}: it is not the gradient of the function",
                usable=usable,
                agreeing=agreeing,
                gradient=kind,
            )
        bad = agreeing is not None and agreeing < self.config.agreeing
        precise = (
            "in float64 it cannot be computed"
            if agreeing is None
            else f"in float64 {percent(agreeing)} of {self.config.directions} an image do within "
            f"{self.config.error:g}, at least {percent(self.config.agreeing)} are needed"
        )
        return self.info.finding(
            "fail" if bad else "pass",
            f"{statement}{percent(min(usable.values()))} and more agree with finite differences within "
            f"{self.config.single_error:g}, on the edges of the box too; {precise}",
            usable=usable,
            agreeing=agreeing,
            gradient=kind,
            precision="float32" if agreeing is None else "float64",
        )

    def _alive(self, subject: Subject, points: Tensor) -> float:
        flat = gradient_of(subject, subject.defence, points).flatten(1)
        return float((flat.isfinite().all(1) & (flat != 0).any(1)).double().mean())

    def _single(self, subject: Subject, points: Mapping[str, Tensor]) -> tuple[list[str], dict[str, float]]:
        """Where too few images keep the error, in words, and their share everywhere."""
        known, wrong, usable = KnownNoise.of(subject.defence), list[str](), dict[str, float]()
        for where, each in points.items():
            floor = torch.zeros(len(each), device=each.device)
            groups = {"": torch.ones_like(each, dtype=torch.bool), "black pixels of ": each <= 0}
            groups["white pixels of "] = each >= 1
            for name, among in groups.items():
                rows = among.flatten(1).double().mean(1) > _FEW
                if not bool(rows.any()):
                    continue
                errors, size = inward_errors(
                    subject,
                    known,
                    each,
                    among=among,
                    directions=self.config.directions,
                    step=self.config.step,
                    floor=floor,
                )
                floor = floor if name else _SMALL * size
                kept = int((errors[rows] <= self.config.single_error).sum())
                share = wilson(kept, int(rows.sum()))
                usable[name + where] = share.value
                if share.high < self.config.usable:
                    wrong.append(f"{percent(share.value)} of {int(rows.sum())} at {name}{where}")
        return wrong, usable

    def _double(self, subject: Subject, points: Mapping[str, Tensor]) -> float | None:
        """The smallest share of slopes that agree in double precision; None where it cannot be computed in it."""
        try:
            defence = KnownNoise.of(doubled(subject.defence))
            errors = [
                central_errors(
                    subject,
                    defence,
                    0.05 + 0.9 * each.double(),
                    directions=self.config.directions,
                    step=1e-6,
                )
                for each in points.values()
            ]
        except Exception:  # a part that cannot be copied, or insists on single precision
            return None
        return min(float((each < self.config.error).double().mean()) for each in errors)


def _points(subject: Subject, own: Attempt) -> Iterator[tuple[str, Tensor]]:
    """Where attacks look at gradients, by what it is called."""
    images = subject.images
    yield "the images", images
    reached = own.returned[0].to(images).nan_to_num(0.5).clamp(0, 1)
    if bool((reached != images).any()):
        yield "what the attack made of them", reached
        yield "half-way", (images + reached) / 2
    eps = own.info.eps
    if eps:
        keys = Keys.of(seed=subject.protocol.seed, purpose="audit/points", samples=subject.samples)
        direction = normal(keys, "direction", images.shape[1:]).to(images)
        moved = images + eps * direction / per_image(distance(direction, own.info.norm))
        yield "random points of the ball", project(moved, images, norm=own.info.norm, eps=eps)
