"""What the class-conditional generators of this package share: classes, keyed noise, and where the network is."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import fields, replace
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from mlvgm.errors import ConfigError, InputError, unknown
from mlvgm.given import check_keys, check_latents, check_noise
from mlvgm.latents import Latents, LatentSpec
from mlvgm.noise import Keys, Noise, normal, uniform
from mlvgm.protocols.generator import NuisanceSpec


class ClassConditionalGenerator:
    """Base of the generators: a frozen network with a table of class embeddings, and sampling options.

    A subclass has ``latents``, ``to_latents`` and ``decode``; its options have a field ``label``.

    Args:
        network: has ``embedding``; it is put into evaluation mode and its parameters are frozen.
        sampling: options of the family.
    """

    name: ClassVar[str]
    ties: ClassVar[bool]
    latents: tuple[LatentSpec, ...]
    nuisances: tuple[NuisanceSpec, ...] = ()

    def __init__(self, network: nn.Module, *, sampling: Any) -> None:
        self.network = network.eval().requires_grad_(False)
        self.sampling = self._checked(sampling)

    def _checked(self, sampling: Any) -> Any:
        if sampling.label is not None and not 0 <= sampling.label < self.classes:
            raise ConfigError(f"label must be in 0 … {self.classes - 1}, got {sampling.label}")
        return sampling

    @property
    def device(self) -> torch.device:
        return self.network.embedding.weight.device

    @property
    def classes(self) -> int:
        return self.network.embedding.num_embeddings

    def to(self, device: torch.device | str) -> Self:
        """The same generator on ``device``."""
        moved = copy.copy(self)
        moved.network = copy.deepcopy(self.network).to(device)
        return moved

    def with_sampling(self, **options: Any) -> Self:
        """The same weights with other sampling options.

        Raises:
            ConfigError: another option than those of ``sampling``, or a value out of range.
        """
        known = [field.name for field in fields(self.sampling)]
        for name in options:
            if name not in known:
                raise unknown(f"sampling option of {self.name}", name, known)
        changed = copy.copy(self)
        changed.sampling = self._checked(replace(self.sampling, **options))
        return changed

    def draw_noise(self, keys: Keys, *, tied: bool | None = None) -> Noise:
        """Standard-normal noise, and the embedding of each row's class.

        Raises:
            ConfigError: ``tied`` in a family whose latents are parts of one z.
        """
        check_keys(keys, name=self.name)
        if tied and not self.ties:
            raise ConfigError(f"{self.name} has no tied noise", hint="its latents are parts of one z; use tied=False")
        count = len(self.latents)
        if self.ties if tied is None else tied:
            values, source = (normal(keys, "z", self.latents[0].noise_shape),), (0,) * count
        else:
            values = tuple(normal(keys, spec.name, spec.noise_shape) for spec in self.latents)
            source = tuple(range(count))
        moved = tuple(value.to(self.device) for value in values)
        return Noise(moved, source, condition=self.draw_condition(keys))

    def draw_condition(self, keys: Keys) -> Tensor:
        """Embeddings (len(keys), embedding) of random classes, or of the class that ``sampling.label`` names."""
        if self.sampling.label is not None:
            return self.embed_classes(torch.full((len(keys),), self.sampling.label))
        return self.embed_classes((uniform(keys, "class", ()).double() * self.classes).long())

    def embed_classes(self, classes: Tensor) -> Tensor:
        """Condition embeddings (N, embedding) of class numbers (N,).

        Raises:
            InputError: a number outside 0 … classes − 1.
        """
        classes = torch.as_tensor(classes)
        if classes.is_floating_point() or (
            len(classes) and not 0 <= int(classes.min()) <= int(classes.max()) < self.classes
        ):
            raise InputError(f"expected classes in 0 … {self.classes - 1}, came {classes.tolist()}")
        result: Tensor = self.network.embedding(classes.to(self.device))
        return result

    def to_latents(self, noise: Noise) -> Latents:
        """The latents ``noise`` makes."""
        raise NotImplementedError

    def decode(self, latents: Latents) -> Tensor:
        """Images of ``latents``."""
        raise NotImplementedError

    def generate(self, noise: Noise) -> Tensor:
        """Images of ``noise``."""
        return self.decode(self.to_latents(noise))

    def _check(self, noise: Noise) -> None:
        check_noise(noise, self.latents, self.nuisances, like=self.network.embedding.weight, name=self.name)

    def _check_latents(self, latents: Latents) -> None:
        check_latents(latents, self.latents, like=self.network.embedding.weight, name=self.name, shared=True)

    def _inputs(self, values: Iterable[Tensor], condition: Tensor | None) -> tuple[tuple[Tensor, ...], Tensor]:
        """Latents and condition as the network takes them."""
        if condition is None:
            raise InputError(f"{self.name} needs a condition", hint="embed_classes makes one from class numbers")
        dtype = self.network.embedding.weight.dtype
        return tuple(value.to(dtype) for value in values), condition.to(dtype)
