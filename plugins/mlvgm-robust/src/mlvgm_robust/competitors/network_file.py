"""Weights files of the networks that competitors bring along."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import BaseModel
from torch import nn

from mlvgm.plugins.descriptors import Weights
from mlvgm.weights.file import WeightsFile, write_weights
from mlvgm.weights.load import assemble, load_weights

A = TypeVar("A", bound=BaseModel)
N = TypeVar("N", bound=nn.Module)


@dataclass(frozen=True)
class NetworkFile(Generic[A, N]):
    """One kind of weights file: a network and the architecture it is made of.

    Args:
        format: ``"mlvgm-<component>/<version>"``, as the file's metadata have it.
        architecture: pydantic model of the metadata.
        network: makes a network of an architecture, and keeps it as ``network.architecture``.
    """

    format: str
    architecture: type[A]
    network: Callable[[A], N]

    def save(self, network: Any, path: Path) -> None:
        """Write a network to a safetensors file."""
        write_weights(path, WeightsFile(self.format, network.architecture.model_dump_json(), network.state_dict()))

    def load(self, name: str, *, shipped: Sequence[Weights]) -> N:
        """The network of shipped weights or of a file, frozen.

        Raises:
            InputError: nothing has that name, or it is damaged or of something else.
        """
        file = load_weights(name, shipped=shipped, formats=(self.format,), convert=lambda container: None)
        network = assemble(file, Path(name), architecture=self.architecture, network=self.network)
        return network.requires_grad_(False)
