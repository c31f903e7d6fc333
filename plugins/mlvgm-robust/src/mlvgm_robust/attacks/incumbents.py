"""The best candidate of each image so far, chosen by estimated success and never by one lucky draw."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import torch

from mlvgm_robust.attacks.losses import margin, targeted_margin

if TYPE_CHECKING:
    from torch import Tensor

    from mlvgm.protocols.attack import AttackContext
    from mlvgm_robust.evaluation.target import Target


@dataclass
class Incumbents:
    """What an attack holds of each image while it works, starting from the images themselves.

    A deterministic target answers exactly: the first misclassified candidate wins. Of a stochastic one, candidates are
    compared by their success probability on fresh selection draws. Noisy estimates always contain a lucky one, so a
    challenger that looks better is drawn a second time, and has to be better on both sets of draws together.

    The last three tensors change in place, so that attacks which run in turn can share them.

    Args:
        target: bound to the images.
        labels: (B,) true classes.
        targets: (B,) wanted classes, or None.
        context: randomness and numbers of draws.
        images: (B, C, H, W) the best candidates.
        probability: (B,) their estimated success probability.
        broken: (B,) certain enough to stop working on the image.
    """

    target: Target
    labels: Tensor
    targets: Tensor | None
    context: AttackContext
    images: Tensor
    probability: Tensor
    broken: Tensor

    @classmethod
    def of(
        cls, target: Target, images: Tensor, labels: Tensor, *, targets: Tensor | None, context: AttackContext
    ) -> Self:
        """Incumbents that are the images themselves: where they are misclassified already, nothing is left to do.

        Unless success is not to stop the attack: then all of them stand, and the first to succeed takes their place.
        """
        if len(images) and context.stop_at_success:
            first = target.success(images, labels, draws=context.selection, targets=targets)
            probability, broken = first.probability, first.broken
        else:
            probability = torch.zeros(len(images), dtype=torch.double, device=images.device)
            broken = torch.zeros(len(images), dtype=torch.bool, device=images.device)
        return cls(target, labels, targets, context, images.detach().clone(), probability, broken)

    def standing(self) -> Tensor:
        """Rows of the images that are not broken yet, (b,)."""
        return (~self.broken).nonzero().squeeze(1)

    def fooled(self, logits: Tensor, rows: Tensor) -> Tensor:
        """(b,) bool: the decision over the draws in ``logits`` (b, m, K) is wrong, or the wanted one."""
        return self.margin(self.target.defence.vote(logits), rows) > 0

    def margin(self, logits: Tensor, rows: Tensor) -> Tensor:
        """Margin (b,) of logits (b, K) in the attack's favour: above 0 where it succeeds."""
        if self.targets is None:
            return margin(logits, self.labels[rows])
        return targeted_margin(logits, self.targets[rows])

    def take(self, candidates: Tensor, rows: Tensor) -> None:
        """Accept successes against a deterministic target."""
        self.images[rows] = candidates
        self.probability[rows] = 1.0
        self.broken[rows] = True

    def offer(self, candidates: Tensor, rows: Tensor, *, least: float = 0.0) -> None:
        """Let ``candidates`` (b, C, H, W) of images ``rows`` compete with the incumbents.

        Args:
            candidates: one for each of the images.
            rows: (b,) which images.
            least: probability of success that every estimate has to reach.
        """
        first, broken = self.estimate(candidates, rows)
        better = ((first > self.probability[rows]) & (first >= least)).nonzero().squeeze(1)
        candidates, rows, first, broken = candidates[better], rows[better], first[better], broken[better]
        if self.target.stochastic:
            second, again = self.estimate(candidates, rows)
            enough = second >= least
            first, broken = (first + second) / 2, broken & again
        else:
            enough = torch.ones_like(broken)
        wins = enough & (first > self.probability[rows])
        rows = rows[wins]
        self.images[rows] = candidates[wins]
        self.probability[rows] = first[wins]
        self.broken[rows] = broken[wins]

    def estimate(self, candidates: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Success probability (b,) of ``candidates`` on fresh selection draws, and whether that is certain enough."""
        if len(rows) == 0:
            return self.probability[rows], self.broken[rows]
        targets = None if self.targets is None else self.targets[rows]
        success = self.target[rows].success(
            candidates, self.labels[rows], draws=self.context.selection, targets=targets
        )
        return success.probability, success.broken
