"""Any network as a classifier of the protocol: in evaluation mode, frozen, called with care, random if it is."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Self

import torch
from torch import Tensor, nn

from mlvgm.errors import ConfigError
from mlvgm.foreign.attribute import evaluating
from mlvgm.foreign.nature import Nature, nature_of
from mlvgm.foreign.others import answer
from mlvgm.foreign.seeded import drawn
from mlvgm.noise import Keys


class ModuleClassifier(nn.Module):
    """Images in [0, 1] → logits, in evaluation mode, with frozen parameters. Gradients reach the images.

    What the network prints goes to stderr, and what it raises or answers instead of logits is one error with its name.

    Args:
        network: images → logits; put into evaluation mode and frozen in place.
        classes: number of logits.
        nature: what is known of it; deterministic by default. :meth:`try_on` finds out.
        name: how the user named it, for messages.

    Example:
        >>> classifier = ModuleClassifier(nn.Sequential(nn.Flatten(), nn.Linear(4, 2)), classes=2)
        >>> classifier(torch.rand(3, 1, 2, 2)).shape
        torch.Size([3, 2])
    """

    def __init__(
        self, network: nn.Module, *, classes: int, nature: Nature | None = None, name: str = "the classifier"
    ) -> None:
        super().__init__()
        self.network = evaluating(network, name=name)
        self.classes, self.name = classes, name
        self.nature = nature or Nature(classes)

    def forward(self, images: Tensor) -> Tensor:
        return answer(self.network, images, name=self.name)

    @property
    def stochastic(self) -> bool:
        return self.nature.stochastic

    @property
    def differentiable(self) -> bool:
        return self.nature.differentiable

    def draw(self, images: Tensor, keys: Keys) -> Tensor:
        """Logits of images, one row of ``keys`` each, which name the noise of a network that is random."""
        return drawn(self, images, keys, alone=self.nature.alone)

    def alone(self) -> Self:
        """The same with a call for every row, so that its noise follows its image into any batch."""
        same = copy.copy(self)
        same.nature = replace(self.nature, alone=True)
        return same

    def try_on(self, images: Tensor, *, classes: int | None = None) -> Self:
        """The same classifier with its nature, found by calling it with ``images``.

        See :func:`mlvgm.foreign.nature.nature_of`.

        Args:
            images: (B, C, H, W) in [0, 1], a few that differ.
            classes: how many logits there must be, if that is known.

        Raises:
            ConfigError: it gives probabilities.
            InputError: it fails, answers with something that is not (B, K) finite numbers, is changed by calls, or
                mixes the images of a batch.
        """
        nature = nature_of(self, images, name=self.name, classes=classes)
        with torch.no_grad():
            logits = drawn(self, images, Keys.of(seed=0, purpose="check", samples=range(len(images))), alone=False)
        if bool((logits >= 0).all()) and torch.allclose(logits.sum(1), torch.ones_like(logits[:, 0]), atol=1e-4):
            raise ConfigError(
                f"expected logits from {self.name}, came probabilities (each row sums to one)",
                hint="leave out its softmax: attacks on saturated probabilities overrate robustness",
            )
        tried = copy.copy(self)
        tried.nature, tried.classes = nature, nature.classes
        return tried

    def train(self, mode: bool = True) -> Self:
        """Stays in evaluation mode, whatever a library asks for."""
        return self
