"""What generators around one frozen network share: moving, sampling options, noise, and an encoder beside it."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, Self, TypeVar

import torch
from torch import Tensor, nn

from mlvgm.errors import ConfigError, unknown
from mlvgm.foreign.given import check_batch, check_keys, check_latents, check_noise
from mlvgm.latents import Blended, ImageSpec, Latents, LatentSpec
from mlvgm.noise import Keys, Noise, normal
from mlvgm.protocols.generator import Conditional, NuisanceSpec
from mlvgm.rows import check_blend, expanded, mixed

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


class Network(Protocol):
    """A module with the name of its family, for messages."""

    name: str

    def parameters(self) -> Iterator[nn.Parameter]: ...

    def to(self, device: torch.device | str) -> Self: ...

    def eval(self) -> Self: ...

    def requires_grad_(self, requires_grad: bool = ...) -> Self: ...


class ImageEncoder(Protocol):
    """What stands beside a network and finds the latents of images."""

    @property
    def image(self) -> ImageSpec: ...

    def to(self, device: torch.device | str) -> Self: ...


N = TypeVar("N", bound=Network)
S = TypeVar("S", bound="DataclassInstance")
E = TypeVar("E", bound=ImageEncoder)


class NetworkGenerator(Generic[N, S]):
    """Base of generators that are one network; a family adds ``latents``, ``image``, ``to_latents`` and ``decode``.

    Args:
        model: the network; it is put into evaluation mode and its parameters are frozen.
        sampling: options of the family, a frozen dataclass; the family's ordinary ones by default.

    Raises:
        ConfigError: the sampling options are not of this model.
    """

    # Whether ordinary sampling gives all latents one draw; a family that never ties refuses to.
    ties: ClassVar[bool] = False

    def __init__(self, model: N, *, sampling: S | None = None) -> None:
        self.model = model.eval().requires_grad_(False)
        self.sampling = self._checked(self._ordinary() if sampling is None else sampling)

    def _ordinary(self) -> S:
        raise NotImplementedError

    def _checked(self, sampling: S) -> S:
        """``sampling``, if this model can do that."""
        return sampling

    @property
    def family(self) -> str:
        return self.model.name

    @property
    def latents(self) -> tuple[LatentSpec, ...]:
        raise NotImplementedError

    @property
    def nuisances(self) -> tuple[NuisanceSpec, ...]:
        return ()

    @property
    def device(self) -> torch.device:
        return self._weight.device

    @property
    def _weight(self) -> Tensor:
        """Latents and noise are of its type, and where it is."""
        return next(self.model.parameters())

    def to(self, device: torch.device | str) -> Self:
        """The same generator on ``device``."""
        moved = copy.copy(self)
        moved.model = copy.deepcopy(self.model).to(device)
        return moved

    def with_sampling(self, **options: Any) -> Self:
        """The same weights with other sampling options.

        Raises:
            ConfigError: another option than those of ``sampling``, or a value out of range.
        """
        known = [field.name for field in fields(self.sampling) if field.init]
        for name in options:
            if name not in known:
                raise unknown(f"sampling option of {self.family}", name, known)
        changed = copy.copy(self)
        changed.sampling = self._checked(replace(self.sampling, **options))
        return changed

    def draw_noise(self, keys: Keys, *, tied: bool | None = None) -> Noise:
        """Standard-normal noise, one draw for all latents or one for each, with nuisances and a random condition.

        Raises:
            ConfigError: ``tied`` in a family that never ties.
        """
        check_keys(keys, name=self.family)
        if tied and not self.ties:
            raise ConfigError(f"{self.family} has no tied noise", hint="none of its latents reads all; use tied=False")
        specs = self.latents
        if self.ties if tied is None else tied:
            drawn, source = {"z": specs[0].noise_shape}, (0,) * len(specs)
        else:
            drawn, source = {spec.name: spec.noise_shape for spec in specs}, tuple(range(len(specs)))
        values = tuple(normal(keys, name, shape).to(self.device) for name, shape in drawn.items())
        nuisance = {name: value.to(self.device) for name, value in self._draw_nuisances(keys).items()}
        condition = self.draw_condition(keys) if isinstance(self, Conditional) else None
        return Noise(values, source, nuisance=nuisance, condition=condition)

    def _draw_nuisances(self, keys: Keys) -> Mapping[str, Tensor]:
        return {spec.name: normal(keys, spec.name, spec.shape) for spec in self.nuisances}

    def to_latents(self, noise: Noise) -> Latents:
        """The latents ``noise`` makes."""
        raise NotImplementedError

    def decode(self, latents: Latents) -> Tensor:
        """Images (N, C, H, W) of ``latents``."""
        raise NotImplementedError

    def generate(self, noise: Noise) -> Tensor:
        """Images of ``noise``."""
        return self.decode(self.to_latents(noise))

    def _check_noise(self, noise: Noise) -> None:
        check_noise(noise, self.latents, self.nuisances, like=self._weight, name=self.family)

    def _check_latents(self, latents: Latents, *, shared: bool = False) -> None:
        check_latents(latents, self.latents, self.nuisances, like=self._weight, name=self.family, shared=shared)


class EncodingGenerator(NetworkGenerator[N, S], Generic[N, S, E]):
    """Adds an encoder to a family whose latents do not depend on one another; encodings are latents.

    Inherit from it before the family, whose ``decode`` takes values of fewer rows than the longest.

    Args:
        model: see :class:`NetworkGenerator`.
        encoder: frozen.
        sampling: acts on fresh latents, not on encoded ones.
    """

    def __init__(self, model: N, encoder: E, *, sampling: S | None = None) -> None:
        super().__init__(model, sampling=sampling)
        if isinstance(encoder, nn.Module):
            encoder.eval().requires_grad_(False)
        self.encoder = encoder

    @property
    def encoder_image(self) -> ImageSpec:
        return self.encoder.image

    def to(self, device: torch.device | str) -> Self:
        """The same generator and encoder on ``device``."""
        moved = super().to(device)
        moved.encoder = copy.deepcopy(self.encoder).to(device)
        return moved

    def encode(self, images: Tensor) -> Latents:
        """Latents of images (B, \\*encoder_image.shape) in [0, 1].

        Raises:
            InputError: images of another shape.
        """
        check_batch(images, what=f"images for {self.family}", spec=self.encoder_image, like=self._weight)
        return self._encoded(images)

    def _encoded(self, images: Tensor) -> Latents:
        raise NotImplementedError

    def _restored(self, images: Tensor) -> Tensor:
        """The generator's images as ``encode`` takes them."""
        return images

    def blend(self, encoding: Latents, source: Noise | Latents, alphas: Sequence[float] | Tensor) -> Blended:
        """Mix encoded latents with those of ``source`` (arXiv 2412.03453, section 3.2), under the encoding's condition.

        Raises:
            ConfigError: the number or range of ``alphas``.
            InputError: rows of ``source`` are no multiple of those of ``encoding``, or a nuisance is on and ``source``
                is an encoding.
        """
        weights = check_blend(encoding, source, alphas, name=self.family, latents=len(self.latents))
        fresh, rows = self.to_latents(source) if isinstance(source, Noise) else source, len(source)
        values = [mixed(*parts) for parts in zip(encoding.values, fresh.values, weights, strict=True)]
        latents = Latents(tuple(values), condition=encoding.condition, nuisance=fresh.nuisance)
        images = expanded(self._restored(self.decode(latents)), rows)
        condition = None if encoding.condition is None else expanded(encoding.condition, rows)
        return Blended(images, replace(latents, values=tuple(expanded(v, rows) for v in values), condition=condition))
