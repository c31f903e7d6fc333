"""What a hierarchical VAE gives the generator: features of an image, and a top-down pass group by group."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from torch import Tensor

from mlvgm.generators import Network
from mlvgm_nvae.distributions import Normal, Parameters
from mlvgm_nvae.likelihood import Bernoulli, LogisticMixture


class Group(Protocol):
    """Everything about one latent z_i. The state is a tensor (N, ·, H, W) that only its own group reads."""

    @property
    def cells(self) -> Callable[[Tensor], Tensor]:
        """What the state goes through before the latent."""
        ...

    @property
    def flow(self) -> Callable[[Tensor], Tensor]:
        """What the latent goes through before it enters."""
        ...

    def prior(self, state: Tensor) -> Parameters:
        """Raw parameters of p(z_i | z_<i); ``state`` has passed ``cells``."""
        ...

    def posterior(self, feature: Tensor, state: Tensor, prior: Parameters) -> Parameters:
        """Raw parameters of q(z_i | x, z_<i); a feature of fewer rows than ``state`` is shared, image-major."""
        ...

    def normal(self, parameters: Parameters) -> Normal:
        """The distribution of raw parameters."""
        ...

    def merge(self, state: Tensor, latent: Tensor) -> Tensor:
        """The state after the latent has entered."""
        ...


class TopDown(Protocol):
    """The decoder."""

    @property
    def groups(self) -> Sequence[Group]: ...

    def start(self, rows: int) -> Tensor:
        """The state before the first latent."""
        ...

    def finish(self, state: Tensor) -> Tensor:
        """Pixel parameters of the state after the last latent."""
        ...


class Sizes(Protocol):
    """Sizes of images and latents; ``scale_of_latent`` numbers the resolution each latent enters at."""

    @property
    def image(self) -> tuple[int, int, int]: ...

    @property
    def latent_shapes(self) -> tuple[tuple[int, int, int], ...]: ...

    @property
    def scale_of_latent(self) -> tuple[int, ...]: ...

    @property
    def mixtures(self) -> int: ...


class HierarchicalVAE(Network, Protocol):
    """A network that :class:`~mlvgm_nvae.generator.HierarchicalGenerator` makes a generator of."""

    @property
    def architecture(self) -> Sizes: ...

    @property
    def decoder(self) -> TopDown: ...

    def encode(self, images: Tensor) -> tuple[Tensor, ...]:
        """Features of images in [0, 1], one for each latent, coarse → fine."""
        ...

    def pixels(self, parameters: Tensor) -> LogisticMixture | Bernoulli:
        """The pixel distribution that the decoder's output describes."""
        ...
