"""Purifiers: image in, cleaned image out, with their randomness as an argument."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, Self

from mlvgm.noise import Keys

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class PurifierNoise(Protocol):
    """Randomness of a batch of purifications; opaque to everyone but its purifier."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: Any) -> Self: ...


class Purifier(Protocol):
    """Removes adversarial perturbations from images before they are classified.

    Attributes:
        stochastic: the result depends on the noise. A deterministic purifier still takes noise, and ignores it.
        differentiable: exact gradients flow from the purified to the given image. Where they do not, attacks follow
            approximate ones (BPDA), for which the purified image has the given one's shape.
    """

    @property
    def stochastic(self) -> bool: ...

    @property
    def differentiable(self) -> bool: ...

    def to(self, device: torch.device | str) -> Self: ...

    def noise(self, keys: Keys) -> PurifierNoise:
        """The randomness ``keys`` name, one row a purification."""
        ...

    def purify(self, images: Tensor, noise: Any) -> Tensor:
        """Purify ``images`` once for each row of ``noise``.

        Args:
            images: (B, C, H, W) in [0, 1].
            noise: of this purifier, B·k rows, image-major; k is inferred. What does not depend on it is computed once
                an image.

        Shape:
            output: (B·k, C, H, W), nominally [0, 1], not clamped.
        """
        ...
