"""gradient.path: the attack sees the whole defence with its true gradient."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import torch
from pydantic import Field

from mlvgm.noise import Keys, normal
from mlvgm.protocols.check import CheckInfo, Finding, Subject
from mlvgm.target import Target
from mlvgm_robust.attacks.losses import margin
from mlvgm_robust.checks.comparison import CheckConfig, percent
from mlvgm_robust.checks.doubled import doubled
from mlvgm_robust.checks.known_noise import KnownNoise

if TYPE_CHECKING:
    from torch import Tensor

    from mlvgm.audit.attempts import AuditContext
    from mlvgm.defence import Defence


class GradientPathConfig(CheckConfig):
    """Options of gradient.path."""

    BUDGETS: ClassVar[Mapping[str, Mapping[str, object]]] = {"demo": {"images": 8}, "standard": {"images": 16}}

    images: int | None = Field(32, ge=1, description="first images it uses; all if null")
    directions: int = Field(8, ge=1, description="random directions of the finite differences")
    alive: float = Field(0.99, gt=0, le=1, description="share of images with a finite gradient that is not zero")
    error: float = Field(1e-2, gt=0, description="largest relative error of the gradient, in double precision")
    single_error: float = Field(0.1, gt=0, description="the same where only single precision is possible")
    agreeing: float = Field(0.95, gt=0, le=1, description="share of directions that must keep the error; kinks do not")


@dataclass(frozen=True)
class GradientPath:
    """Autograd's gradient of the margin exists, is finite and not zero, and agrees with central differences.

    Differences are taken with the noise frozen, in float64 where the defence can be copied into it, at images moved
    into the interior of the box, where clamps have no kink (Athalye et al., arXiv 1802.00420, section 3). At the images
    themselves many pixels are exactly 0 or 1: if their gradient vanishes while the margin changes as they move into the
    box, a clamp blocks it, and an attack does not know that it can change them.
    """

    config: GradientPathConfig = field(default_factory=GradientPathConfig)
    info = CheckInfo("gradient.path", (1,))

    def __call__(self, subject: Subject, *, context: AuditContext) -> Finding:
        subject = subject.first(self.config.images)
        declared = subject.protocol.gradient
        kind = "bpda" if declared == "bpda" or not subject.defence.differentiable else "exact"
        if not subject.defence.differentiable:
            return self.info.finding(
                "warn", "the purifier declares no gradient: attacks follow BPDA and transfer", gradient=kind
            )
        try:
            gradient = _gradient(subject, subject.defence, subject.images)
        except RuntimeError as error:  # autograd has found no way from the logits to the images
            reason = " ".join(str(error).split())
            return self.info.finding("fail", f"no gradient leads from the logits to the images: {reason}")
        flat = gradient.flatten(1)
        alive = float((flat.isfinite().all(1) & (flat != 0).any(1)).double().mean())
        if alive < self.config.alive:
            return self.info.finding(
                "fail",
                f"the gradient is finite and not zero for {percent(alive)} of {len(subject)} images only, at least "
                f"{percent(self.config.alive)} are needed: it is masked or detached",
                alive=alive,
                gradient=kind,
            )
        if not subject.replayable:
            return self.info.finding(
                "warn",
                f"gradients are alive for {percent(alive)} of {len(subject)} images; no finite differences, the noise "
                "cannot repeat",
                alive=alive,
                gradient=kind,
            )
        if self._blocked_at_the_edges(subject):
            return self.info.finding(
                "fail",
                "the gradient is 0 at every pixel that is exactly 0 or 1, though the margin changes as these move into "
                "the box: a clamp blocks it (its derivative at the edge is 0 in recent versions of torch)",
                alive=alive,
                gradient=kind,
            )
        agreeing, precision = self._agreement(subject)
        good = agreeing >= self.config.agreeing
        bound = self.config.error if precision == "float64" else self.config.single_error
        return self.info.finding(
            "pass" if good else "fail",
            f"{percent(alive)} of {len(subject)} images have a gradient that is finite and not zero, at least "
            f"{percent(self.config.alive)} are needed; {percent(agreeing)} of {self.config.directions} finite "
            f"differences an image agree with it within {bound:g} ({precision}), at least "
            f"{percent(self.config.agreeing)} are needed",
            alive=alive,
            agreeing=agreeing,
            precision=precision,
            gradient=kind,
        )

    def _blocked_at_the_edges(self, subject: Subject) -> bool:
        images, known = subject.images, KnownNoise.of(subject.defence)
        inwards = (images == 0).to(images) - (images == 1).to(images)
        if not bool(inwards.any()):
            return False
        if bool((_gradient(subject, known, images) * inwards).any()):
            return False
        target, step = _target(subject, known), 1e-2
        with torch.no_grad():
            here, there = (
                margin(target(point, draws=1).squeeze(1), subject.labels) for point in (images, images + step * inwards)
            )
        return bool(((there - here).abs() > 1e-4 * here.abs()).any())

    def _agreement(self, subject: Subject) -> tuple[float, str]:
        known = KnownNoise.of(subject.defence)
        images = 0.05 + 0.9 * subject.images
        try:
            errors = self._errors(subject, KnownNoise.of(doubled(subject.defence)), images.double(), step=1e-6)
            precision, bound = "float64", self.config.error
        except Exception:  # a part that cannot be copied, or insists on single precision
            errors = self._errors(subject, known, images, step=1e-2)
            precision, bound = "float32", self.config.single_error
        return float((errors < bound).double().mean()), precision

    def _errors(self, subject: Subject, defence: Defence, images: Tensor, *, step: float) -> Tensor:
        """Relative error (B, directions) of the directional derivatives."""
        gradient = _gradient(subject, defence, images).flatten(1)
        target = _target(subject, defence)
        scale = gradient.norm(dim=1) / gradient.shape[1] ** 0.5
        errors = []
        for number in range(self.config.directions):
            keys = Keys.of(seed=subject.protocol.seed, purpose="audit/directions", samples=subject.samples)
            direction = normal(keys, f"direction{number}", images.shape[1:]).to(images)
            direction = direction / direction.flatten(1).norm(dim=1)[:, None, None, None]
            with torch.no_grad():
                ahead, behind = (
                    margin(target(images + sign * step * direction, draws=1).squeeze(1), subject.labels)
                    for sign in (1, -1)
                )
            slope = (ahead - behind) / (2 * step)
            expected = (gradient * direction.flatten(1)).sum(1)
            # A direction nearly across the gradient has a derivative near zero: judged by that of a typical one.
            size = torch.stack([slope.abs(), expected.abs(), 0.3 * scale]).amax(0)
            errors.append((slope - expected).abs() / size.clamp_min(1e-300))
        return torch.stack(errors, 1)


def _target(subject: Subject, defence: Defence) -> Target:
    protocol = subject.protocol
    return Target(
        defence, samples=subject.samples, seed=protocol.seed, purpose="audit/gradient", memory=protocol.memory
    )


def _gradient(subject: Subject, defence: Defence, images: Tensor) -> Tensor:
    return _target(subject, defence).gradient(images, margin, subject.labels, draws=1)[1]
