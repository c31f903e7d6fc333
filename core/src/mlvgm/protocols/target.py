"""Target: what an attack sees of what it attacks, bound to the images of its batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, Self

if TYPE_CHECKING:
    from torch import Tensor


class Success(Protocol):
    """Estimated success of candidates, from fresh draws."""

    @property
    def probability(self) -> Tensor:
        """(B,) estimated probability that one deployed decision is wrong, or is the wanted class."""
        ...

    @property
    def broken(self) -> Tensor:
        """(B,) bool, certain enough that the attack may stop working on the image."""
        ...


class Target(Protocol):
    """The classifier or defence under attack. Row i of every call is the i-th image of the batch."""

    @property
    def stochastic(self) -> bool:
        """Two calls may answer differently."""
        ...

    @property
    def classes(self) -> int:
        """Number of classes."""
        ...

    @property
    def eot(self) -> int:
        """Draws when a call does not say how many."""
        ...

    def __len__(self) -> int:
        """Number of images."""
        ...

    def __getitem__(self, index: Tensor | Sequence[int] | slice) -> Self:
        """The same target for some of its images."""
        ...

    def __call__(self, images: Tensor, draws: int | None = None) -> Any:
        """Logits of fresh draws for images (B, C, H, W): (B, draws, K), or (B, K) aggregated without ``draws``."""
        ...

    def gradient(
        self, images: Tensor, loss: Callable[..., Tensor], *arguments: Tensor, draws: int | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Loss (B,), its gradient with respect to the images, and logits (B, draws, K), over fresh draws."""
        ...

    def objective(self, logits: Tensor, loss: Callable[..., Tensor], *arguments: Tensor) -> Tensor:
        """The loss (B,) of logits (B, draws, K) that gradients follow."""
        ...

    def success(self, images: Tensor, labels: Tensor, *, draws: int, targets: Tensor | None = None) -> Success:
        """How likely candidates defeat the deployed decision, on fresh draws of a stream of their own."""
        ...

    def undefended(self) -> Self:
        """The bare classifier behind a purifier, for attacks that transfer."""
        ...
