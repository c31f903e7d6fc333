"""What a published attack has found of each image, decided as published or as everywhere else here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import torch

from mlvgm.errors import InputError
from mlvgm_robust.attacks.incumbents import Incumbents
from mlvgm_robust.attacks.nearest import Nearest
from mlvgm_robust.published.metric import FAILED, NOTE

if TYPE_CHECKING:
    from torch import Tensor

    from mlvgm.protocols.attack import AttackContext
    from mlvgm_robust.evaluation.target import Target
    from mlvgm_robust.published.switches import Choice

# As published there are none; each costs selection draws, and five leave a sixteenth of the way.
_BISECTIONS = 5


@dataclass
class Found:
    """The nearest success of each image so far.

    As published, one decision on the draws of the very step that made an image says whether it is a success, for good.
    Fixed, that only names a candidate: what is handed over has to succeed on fresh selection draws (see
    :class:`~mlvgm_robust.attacks.nearest.Nearest`), and nothing is reported but what the harness scores.

    Args:
        nearest: images and distances.
        success: ``published`` or ``fixed``.
    """

    nearest: Nearest
    success: Choice

    @classmethod
    def of(
        cls,
        target: Target,
        images: Tensor,
        labels: Tensor,
        *,
        targets: Tensor | None,
        context: AttackContext,
        success: Choice,
    ) -> Self:
        """Nothing found; images that are misclassified already are left alone, at distance 0.

        Raises:
            InputError: ``targets`` are given; the published attacks have none.
        """
        if targets is not None:
            raise InputError("the published attacks are untargeted", hint="take an attack without 'published'")
        if success == "fixed":
            return cls(Nearest.of(target, images, labels, targets=None, context=context, norm="L2"), success)
        length = torch.full_like(images[:, 0, 0, 0], torch.inf)
        with torch.no_grad():
            logits = target(images, draws=context.eot)
        wrong = target.defence.vote(logits).argmax(1) != labels
        start = images.detach().clone()
        incumbents = Incumbents(target, labels, None, context, start, torch.zeros_like(length).double(), wrong)
        return cls(Nearest(incumbents, "L2", images, start.clone(), length.masked_fill(wrong, 0)), success)

    def standing(self) -> Tensor:
        """Rows of the images to work on, (b,)."""
        return self.nearest.incumbents.standing()

    def fooled(self, logits: Tensor, rows: Tensor) -> Tensor:
        """(b,) bool: the decision over the draws in ``logits`` (b, m, K) is wrong."""
        if self.success == "fixed":
            return self.nearest.fooled(logits, rows)
        return self.nearest.incumbents.fooled(logits, rows)

    def record(self, candidates: Tensor, rows: Tensor, fooled: Tensor) -> None:
        """Keep the successes among ``candidates`` (b, C, H, W) of images ``rows`` that are nearer."""
        self.nearest.record(candidates, rows, fooled)

    def handed_over(self, *, clip: bool = True) -> Tensor:
        """The images to return (B, C, H, W); as published, their distances are noted too.

        Args:
            clip: the attack stays in the box.
        """
        if self.success == "fixed":
            return self.nearest.settle(_BISECTIONS, clip=clip)
        length = self.nearest.length
        self.nearest.incumbents.context.note(NOTE, torch.where(length.isinf(), FAILED, length))
        return self.nearest.images
