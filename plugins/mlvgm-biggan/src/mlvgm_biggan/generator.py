"""What the class-conditional generators of this package share: classes, and a condition for the network."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol, TypeVar

import torch
from torch import Tensor, nn

from mlvgm.errors import ConfigError, InputError
from mlvgm.foreign.given import check_classes
from mlvgm.generators import Network, NetworkGenerator
from mlvgm.noise import Keys, uniform


class EmbeddingNetwork(Network, Protocol):
    """A network with a table of class embeddings."""

    @property
    def embedding(self) -> nn.Embedding: ...


@dataclass(frozen=True)
class LabelSampling:
    """Options of sampling that all have.

    Args:
        label: class of every draw; None draws a class for each.
    """

    label: int | None = None


N = TypeVar("N", bound=EmbeddingNetwork)
S = TypeVar("S", bound=LabelSampling)


class ClassConditionalGenerator(NetworkGenerator[N, S]):
    """Base of the generators: a frozen network with a table of class embeddings."""

    def _checked(self, sampling: S) -> S:
        if sampling.label is not None and not 0 <= sampling.label < self.classes:
            raise ConfigError(f"label must be in 0 … {self.classes - 1}, got {sampling.label}")
        return sampling

    @property
    def classes(self) -> int:
        return self.model.embedding.num_embeddings

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
        result: Tensor = self.model.embedding(check_classes(classes, self.classes).to(self.device))
        return result

    def _inputs(self, values: Iterable[Tensor], condition: Tensor | None) -> tuple[tuple[Tensor, ...], Tensor]:
        """Latents and condition as the network takes them."""
        if condition is None:
            raise InputError(f"{self.family} needs a condition", hint="embed_classes makes one from class numbers")
        dtype = self.model.embedding.weight.dtype
        return tuple(value.to(dtype) for value in values), condition.to(dtype)
