"""What the encoder knows about a batch of images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class NVAEEncoding:
    """Encoder features of a batch, one for each latent (latents may share one)."""

    features: tuple[Tensor, ...]

    def __len__(self) -> int:
        return len(self.features[0])

    def __getitem__(self, index: Tensor | Sequence[int] | slice) -> NVAEEncoding:
        return self._each(lambda feature: feature[index])

    def repeat(self, draws: int) -> NVAEEncoding:
        """Each row ``draws`` times, image-major."""
        return self._each(lambda feature: feature.repeat_interleave(draws, 0))

    def to(self, device: torch.device | str) -> NVAEEncoding:
        """The same features on ``device``."""
        return self._each(lambda feature: feature.to(device))

    def _each(self, change: Callable[[Tensor], Tensor]) -> NVAEEncoding:
        # Latents that share a feature go on sharing it.
        changed = {id(feature): feature for feature in self.features}
        changed = {key: change(feature) for key, feature in changed.items()}
        return NVAEEncoding(tuple(changed[id(feature)] for feature in self.features))
