"""Attacks that can take over from others: they improve on what is held of each image."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from mlvgm_robust.attacks.incumbents import Incumbents

if TYPE_CHECKING:
    from torch import Tensor

    from mlvgm.protocols.attack import AttackContext
    from mlvgm_robust.evaluation.target import Target


class Improver(ABC):
    """Alone it starts from the images themselves; AutoAttack lets several work on the same incumbents in turn."""

    @abstractmethod
    def improve(self, incumbents: Incumbents, images: Tensor) -> None:
        """Work on what stands among ``incumbents``, which other attacks may have left, around the clean ``images``."""

    def __call__(
        self, target: Target, images: Tensor, labels: Tensor, *, targets: Tensor | None = None, context: AttackContext
    ) -> Tensor:
        """Candidates; see :class:`mlvgm.protocols.attack.Attack`."""
        incumbents = Incumbents.of(target, images, labels, targets=targets, context=context)
        self.improve(incumbents, images)
        return incumbents.images
