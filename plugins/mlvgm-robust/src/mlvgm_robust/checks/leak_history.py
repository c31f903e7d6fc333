"""leak.history: answers hang on the image, not on what was asked before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from mlvgm.noise import Keys, normal
from mlvgm_robust.audit.finding import CheckInfo, Finding, NoPower
from mlvgm_robust.audit.subject import Subject
from mlvgm_robust.checks.comparison import percent
from mlvgm_robust.checks.config import LeakHistoryConfig
from mlvgm_robust.checks.differences import gradient_of
from mlvgm_robust.checks.known_noise import KnownNoise

if TYPE_CHECKING:
    from torch import Tensor

    from mlvgm_robust.audit.attempts import AuditContext
    from mlvgm_robust.evaluation.defence import Defence


@dataclass(frozen=True)
class LeakHistory:
    """The defence after the audit, and a copy of it that nothing was asked of before, answer the same, noise frozen.

    And so does the copy after queries around the images, with and without gradients, as an attack makes them. Logits
    and gradients of the given images and of what the attack made of them are compared. A defence that counts its
    calls, remembers queries or hardens under attack answers otherwise.
    """

    config: LeakHistoryConfig = field(default_factory=LeakHistoryConfig)
    info = CheckInfo("leak.history")

    def __call__(self, subject: Subject, *, context: AuditContext) -> Finding:
        subject.replayed()
        if subject.pristine is None:
            raise NoPower("the defence cannot be copied as it was before it was asked anything")
        made = context.attempt(subject).attacked.images
        subject = subject.first(self.config.images)
        made = made[: len(subject)]
        assert subject.pristine is not None
        pristine = subject.pristine()
        # What was made of the images comes first: whoever remembers queries would answer it as it answered the images.
        first = {name: self._answers(subject, pristine, each) for name, each in self._asked(subject, made)}
        self._work(subject, pristine)
        changes = {"after queries around the images": self._changes(subject, pristine, made, first)}
        changes["after the audit"] = self._changes(subject, subject.defence, made, first)
        changed = [f"{when}: {what}" for when, each in changes.items() for what in each]
        return self.info.finding(
            "fail" if changed else "pass",
            f"logits of {len(subject)} images and gradients, asked of a new copy, and again after queries and after "
            f"the audit: a change above {percent(self.config.tolerance)} of their range, or a cosine below "
            f"{self.config.turned:g}, counts"
            + (f"; {'; '.join(changed)}: the defence has a memory" if changed else ""),
            changed=changed,
        )

    def _asked(self, subject: Subject, made: Tensor) -> list[tuple[str, Tensor]]:
        return [("what the attack made of the images", made), ("the images", subject.images)]

    def _answers(self, subject: Subject, defence: Defence, images: Tensor) -> tuple[Tensor, Tensor | None]:
        known = KnownNoise.of(defence)
        keys = Keys.of(seed=subject.protocol.seed, purpose="audit/history", samples=subject.samples)
        with torch.no_grad():
            logits = known.draw(images, keys)[:, 0]
        if not defence.differentiable:
            return logits, None
        try:
            return logits, gradient_of(subject, known, images).flatten(1)
        except Exception:  # there is none, which gradient.path is about
            return logits, None

    def _changes(
        self, subject: Subject, defence: Defence, made: Tensor, first: Mapping[str, tuple[Tensor, Tensor | None]]
    ) -> list[str]:
        found = []
        for name, images in self._asked(subject, made):
            (before, slope), (after, slope_after) = first[name], self._answers(subject, defence, images)
            span = (before.amax(1) - before.amin(1)).clamp_min(1e-30)
            change = float(((after - before).abs().amax(1) / span).max())
            if change > self.config.tolerance:
                found.append(f"logits of {name} changed by {percent(change)}")
            if slope is not None and slope_after is not None:
                cosine = float(
                    torch.nn.functional.cosine_similarity(slope.double(), slope_after.double()).nan_to_num(0).min()
                )
                alive = bool((slope != 0).any(1).all()) or bool((slope_after != 0).any(1).all())
                if alive and cosine < self.config.turned:
                    found.append(f"a gradient of {name} turned to cosine {cosine:.2f}")
        return found

    def _work(self, subject: Subject, defence: Defence) -> None:
        """Ask as an attack does: many times, near the images, every other time for a gradient."""
        known, size = KnownNoise.of(defence), 0.5 * (subject.attack.info.eps or 0.1)
        for call in range(self.config.calls):
            keys = Keys.of(seed=call, purpose="audit/history", samples=subject.samples)
            near = normal(keys, "near", subject.images.shape[1:]).to(subject.images)
            near = (subject.images + size * near / near[0].numel() ** 0.5).clamp(0, 1)
            with torch.no_grad():
                known.draw(near, keys)
            if defence.differentiable:
                try:
                    gradient_of(subject, known, near)
                except Exception:
                    continue
