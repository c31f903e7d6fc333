"""Multi-latent generators: noise → latents → image, and the encoders some of them have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, Self, runtime_checkable

from mlvgm.latents import Blended, ImageSpec, Latents, LatentSpec
from mlvgm.noise import Keys, Noise

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True)
class NuisanceSpec:
    """Randomness that is no latent (StyleGAN2's noise images, mixture uniforms).

    Args:
        name: unique among the generator's latents and nuisances: it names the stream the numbers come from.
        shape: shape of one row.
    """

    name: str
    shape: tuple[int, ...]


class MultiLatentGenerator(Protocol):
    """A deterministic function of independent standard-normal base noise e_1 … e_n, in two steps.

    ``to_latents`` makes the latents z_1 … z_n (coarse to fine), ``decode`` makes the image. Images are float32 NCHW,
    nominally in [0, 1]; ``decode`` does not clamp. The generator is in evaluation mode, its parameters are frozen, and
    every method is differentiable in its tensor arguments.

    Attributes:
        latents: coarse → fine.
        image: what ``decode`` makes.
        sampling: frozen options of the family (temperature, truncation psi, noise mode, …).
        nuisances: randomness that is no latent and that ``sampling`` has switched on; empty by default. ``draw_noise``
            draws exactly these. Not addressable by alphas.
        device: where the weights are.
    """

    @property
    def latents(self) -> tuple[LatentSpec, ...]: ...

    @property
    def image(self) -> ImageSpec: ...

    @property
    def sampling(self) -> Any: ...

    @property
    def nuisances(self) -> tuple[NuisanceSpec, ...]: ...

    @property
    def device(self) -> torch.device: ...

    def to(self, device: torch.device | str) -> Self:
        """Move the weights to ``device``."""
        ...

    def with_sampling(self, **options: Any) -> Self:
        """The same weights with other sampling options.

        Raises:
            ConfigError: the family does not have such an option; options are never ignored.
        """
        ...

    def draw_noise(self, keys: Keys, *, tied: bool | None = None) -> Noise:
        """Base noise of ``len(keys)`` rows on ``device``, with the nuisances that are on and a random condition.

        Args:
            keys: which randomness.
            tied: True is one draw read by every latent, False draws each latent on its own, None does what ordinary
                sampling of the family does (StyleGAN and BigGAN-deep tie, the others do not).

        Raises:
            ConfigError: ``tied=True`` in a family that never ties.
        """
        ...

    def to_latents(self, noise: Noise) -> Latents:
        """The latents ``noise`` makes: a mapping network, or the prior of a hierarchical VAE group by group."""
        ...

    def decode(self, latents: Latents) -> Tensor:
        """Images of ``latents``.

        Shape:
            output: (N, \\*image.shape), nominally [0, 1], not clamped.

        Raises:
            InputError: a nuisance is on or the model is conditional, and ``latents`` do not carry it.
        """
        ...

    def generate(self, noise: Noise) -> Tensor:
        """``decode(to_latents(noise))``, in one pass where the model allows it."""
        ...


@runtime_checkable
class Encoding(Protocol):
    """What an encoder knows about a batch of images. Opaque: only batch operations, shared by all draws of an image."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: Any) -> Encoding: ...

    def repeat(self, draws: int) -> Encoding:
        """Each row ``draws`` times, image-major."""
        ...

    def to(self, device: torch.device | str) -> Encoding: ...


@runtime_checkable
class Encodes(Protocol):
    """Capability: the generator can find latents of an image and mix them with fresh ones.

    Weights without an encoder do not have it: such a generator is of another class, or sets ``encode`` to None.

    Attributes:
        encoder_image: images ``encode`` takes (it may differ from what the generator makes).
        differentiable: optional, True where it is missing. False says that no gradient leads from ``blend`` back to the
            images given to ``encode``, which may then come without a graph (latents found by optimisation).
    """

    @property
    def encoder_image(self) -> ImageSpec: ...

    def encode(self, images: Tensor) -> Encoding:
        """Encode images in [0, 1], (B, \\*encoder_image.shape). Deterministic: posterior means, never samples."""
        ...

    def blend(self, encoding: Encoding, source: Noise | Encoding, alphas: Sequence[float] | Tensor) -> Blended:
        """Mix encoded latents with those of ``source`` in one top-down pass (arXiv 2412.03453, section 3).

        z_i = (1 − α_i) · posterior_mean_i(encoding, z_<i) + α_i · prior_i(noise_i, z_<i), where the prior is
        conditioned on the already mixed coarser latents. α = 0 reconstructs, α = 1 samples.

        The condition has no α: it is always that of ``encoding``. Nuisances are those of a noise ``source``.

        Args:
            encoding: B rows.
            source: fresh noise of B·k rows, image-major (row b·k + j is draw j of image b), or a second encoding of B
                rows whose posterior means take the prior's place (exchange the latents of two images).
            alphas: one weight in [0, 1] for each latent, coarse → fine: numbers, or a tensor (latents,); or one row of
                weights for each image, (B, latents). The result is differentiable in a tensor that asks for its
                gradient, at 0 and 1 too; everything is then computed at the B·k rows. Other tensors are numbers.

        Shape:
            images: (B·k, \\*encoder_image.shape), so that they can take the place of the encoded ones: a family whose
            encoder takes another size than it makes brings them back its own way (e4e pools). The model expands from B
            to B·k as late as it can: the encoder runs once an image, and while α_i = 0 the decoder's prefix does too.

        Raises:
            ConfigError: the number or range of ``alphas``.
            InputError: rows of ``source`` are no multiple of those of ``encoding``, ``alphas`` have other rows, or a
                nuisance is on and ``source`` is an encoding, which has none.
        """
        ...


@runtime_checkable
class Conditional(Protocol):
    """Capability: images depend on a condition embedding beside the latents (class-conditional generators).

    Where it enters is the family's: in ``decode`` (BigGAN) or in ``to_latents`` (the mapping of StyleGAN).

    Attributes:
        classes: how many there are.
    """

    @property
    def classes(self) -> int: ...

    def draw_condition(self, keys: Keys) -> Tensor:
        """Embeddings of random classes, (len(keys), …); those that ``draw_noise(keys)`` carries."""
        ...

    def embed_classes(self, classes: Tensor) -> Tensor:
        """Condition embeddings of class numbers (N,).

        Raises:
            InputError: a number outside 0 … classes − 1.
        """
        ...


@runtime_checkable
class Inverts(Protocol):
    """Capability: the inverse of ``to_latents`` (hierarchical VAEs, BigGAN, PCA)."""

    def to_noise(self, latents: Latents) -> Noise:
        """Untied noise with ``to_latents(to_noise(latents)) == latents``, condition and nuisances included.

        Raises:
            ConfigError: a sampling option that has no inverse (temperature 0).
            InputError: latents that no noise makes (beyond a truncation).
        """
        ...
