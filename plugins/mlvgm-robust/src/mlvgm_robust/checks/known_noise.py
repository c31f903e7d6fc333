"""A random defence whose noise the attacker knows: the same draw for an image, always."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mlvgm.noise import Keys
from mlvgm_robust.evaluation.defence import Backward, Defence

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class KnownNoise(Defence):
    """``inner`` with one draw of noise for each sample id, the same in every call: a deterministic defence.

    Args:
        inner: the random defence.
        seed: of the draw.
    """

    inner: Defence | None = None
    seed: int = 0

    @classmethod
    def of(cls, defence: Defence, *, seed: int = 0) -> Defence:
        """``defence`` with known noise; a deterministic one is returned as it is."""
        if not defence.stochastic:
            return defence
        # The noise of other people's modules must not depend on the batch.
        parts: Any = {"classifier": defence.classifier, "purifier": defence.purifier}
        defence = replace(
            defence, **{name: part.alone() if hasattr(part, "alone") else part for name, part in parts.items()}
        )
        return cls(defence.classifier, defence.purifier, 1, defence.rule, defence.clamp, inner=defence, seed=seed)

    @property
    def stochastic(self) -> bool:
        return False

    def purify(self, images: Tensor, keys: Keys, *, backward: Backward = "exact") -> Tensor:
        if self.purifier is None or self.inner is None:
            return super().purify(images, keys, backward=backward)
        known = Keys(self.seed, "audit/known", tuple((sample, 0) for sample, _ in keys.rows))
        return self.inner.purify(images, known, backward=backward)

    def draw(self, images: Tensor, keys: Keys, *, backward: Backward = "exact") -> Tensor:
        if self.inner is None:
            return super().draw(images, keys, backward=backward)
        draws = len(keys) // max(len(images), 1)
        known = Keys(self.seed, "audit/known", tuple((sample, 0) for sample, _ in keys.rows[::draws]))
        inner = self.inner if self.purifier is not None else replace(self.inner, purifier=None)
        return inner.draw(images, known, backward=backward).expand(-1, draws, -1)
