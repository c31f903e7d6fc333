"""The nearest success of each image, for attacks that look for the smallest perturbation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import torch

from mlvgm.protocols.attack import AttackContext, Norm
from mlvgm_robust.attacks.geometry import distance, per_image
from mlvgm_robust.attacks.incumbents import Incumbents

if TYPE_CHECKING:
    from torch import Tensor

    from mlvgm_robust.evaluation.target import Target

# A success whose margin is within rounding would come and go with the size of the batch. Sums are rounded in proportion
# to what they add up, of which the logits' spread is a measure, and the logits themselves to a place of their own size.
_ROUNDING = 1e-5
# What a random defence gets right more often than not is no success, however near. Two independent estimates have to
# say so of what is handed over, so the way there aims a little higher.
_SUCCESS, _CONVINCING = 1 / 2, 2 / 3
_STRETCHES = (1.0, 1.05, 1.1, 1.2, 1.4)
# Against a random target a success by luck is too near: the way is followed beyond it, up to this multiple.
_BEYOND = 2.0


@dataclass
class Nearest:
    """What a minimal-norm attack holds of each image while it works.

    Against a deterministic target every success is exact. Against a stochastic one the nearest success of many is a
    lucky one, so during the work it only names a direction; :meth:`settle` follows it to where fresh selection draws
    say that the defence errs more often than not, twice over.

    Args:
        incumbents: what is left to work on and what is handed over in the end.
        norm: whose distance counts.
        centre: (B, C, H, W) the clean images.
        images: (B, C, H, W) the nearest successes so far.
        length: (B,) their distance; infinite where there is none.
        kappa: margin by which the logits of a success are wrong.
    """

    incumbents: Incumbents
    norm: Norm
    centre: Tensor
    images: Tensor
    length: Tensor
    kappa: float = 0.0

    @classmethod
    def of(
        cls,
        target: Target,
        images: Tensor,
        labels: Tensor,
        *,
        targets: Tensor | None,
        context: AttackContext,
        norm: Norm,
        kappa: float = 0.0,
    ) -> Self:
        """Nothing found yet; images that are misclassified already are their own nearest success."""
        incumbents = Incumbents.of(target, images, labels, targets=targets, context=context)
        return cls(incumbents, norm, images, images.clone(), torch.full_like(images[:, 0, 0, 0], torch.inf), kappa)

    def margin(self, logits: Tensor, rows: Tensor) -> Tensor:
        """Margin (b,) of the decision over the draws in ``logits`` (b, m, K), less what rounding could take."""
        scores = self.incumbents.target.defence.vote(logits)
        spread = scores.amax(1) - scores.amin(1)
        place = torch.finfo(scores.dtype).eps * scores.abs().amax(1)
        return self.incumbents.margin(scores, rows) - _ROUNDING * spread - place

    def fooled(self, logits: Tensor, rows: Tensor) -> Tensor:
        """(b,) bool: the decision over the draws in ``logits`` (b, m, K) is clearly wrong, or the wanted one."""
        return self.margin(logits, rows) > self.kappa

    def record(self, candidates: Tensor, rows: Tensor, fooled: Tensor) -> None:
        """Keep those ``candidates`` (b, C, H, W) of images ``rows`` that succeed, ``fooled`` (b,), and are nearer."""
        away = distance(candidates - self.centre[rows], self.norm)
        nearer = fooled & (away < self.length[rows])
        self.images[rows[nearer]] = candidates[nearer]
        self.length[rows[nearer]] = away[nearer]

    def settle(self, bisections: int, *, clip: bool = True) -> Tensor:
        """The images to hand over, (B, C, H, W), nearer still by a bisection between image and success.

        Args:
            bisections: halvings of the way.
            clip: stay in [0, 1], even beyond the success.
        """
        low, high = (0.0, 1.0) if clip else (-torch.inf, torch.inf)
        rows = (self.length.isfinite() & ~self.incumbents.broken).nonzero().squeeze(1)
        stochastic = self.incumbents.target.stochastic
        centre, delta = self.centre[rows], self.images[rows] - self.centre[rows]
        near = torch.zeros_like(self.length[rows])
        far = torch.full_like(near, _BEYOND if stochastic and bisections else 1.0)
        candidates = self.images[rows] if not stochastic else (centre + per_image(far) * delta).clamp(low, high)
        for _ in range(bisections if len(rows) else 0):
            middle = (near + far) / 2
            between = (centre + per_image(middle) * delta).clamp(low, high)
            success = self._succeeds(between, rows)
            near, far = torch.where(success, near, middle), torch.where(success, middle, far)
            candidates = torch.where(per_image(success), between, candidates)
        if stochastic:
            self._confirm(candidates, rows, low=low, high=high)
        else:
            self.incumbents.take(candidates, rows)
        return self.incumbents.images

    def _confirm(self, candidates: Tensor, rows: Tensor, *, low: float, high: float) -> None:
        """Hand over candidates that fresh draws confirm; those they do not are taken a little farther each time."""
        before = self.incumbents.probability.clone()
        for stretch in _STRETCHES:
            farther = self.centre[rows] + stretch * (candidates - self.centre[rows])
            self.incumbents.offer(farther.clamp(low, high), rows, least=_SUCCESS)
            left = self.incumbents.probability[rows] <= before[rows]
            candidates, rows = candidates[left], rows[left]

    def _succeeds(self, candidates: Tensor, rows: Tensor) -> Tensor:
        incumbents = self.incumbents
        if not incumbents.target.stochastic:
            logits = incumbents.target[rows](candidates, draws=1)
            return self.fooled(logits, rows)
        return incumbents.estimate(candidates, rows)[0] > _CONVINCING
