"""The box: gradients pass at its edges, where many pixels of real images are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mlvgm.box import to_box
from mlvgm_robust.evaluation.defence import Defence
from mlvgm_robust.evaluation.target import Target


def test_values_are_those_of_the_clamp() -> None:
    x = torch.linspace(-1, 2, 31)
    assert torch.equal(to_box(x), x.clamp(0, 1))
    assert torch.isnan(to_box(torch.tensor([torch.nan]))).all()


@dataclass(frozen=True)
class Same:
    """A purifier that changes nothing."""

    stochastic: bool = False
    differentiable: bool = True

    def to(self, device: Any) -> Same:
        return self

    def noise(self, keys: Any) -> Any:
        return keys

    def purify(self, images: Tensor, noise: Any) -> Tensor:
        return images.repeat_interleave(len(noise) // len(images), 0)


class Weighted:
    """Two logits, linear in the pixels."""

    classes = 2

    def to(self, device: Any) -> Weighted:
        return self

    def __call__(self, images: Tensor) -> Tensor:
        weights = torch.arange(1.0, images[0].numel() + 1)
        return torch.stack([images.flatten(1) @ weights, -images.flatten(1) @ weights], 1)


def test_a_defence_that_changes_nothing_has_the_gradient_of_its_classifier() -> None:
    """Black and white pixels included: an attack that does not see that it can raise them is no attack."""
    images = torch.tensor([0.0, 0.0, 1.0, 0.5]).reshape(1, 1, 2, 2)

    def first(logits: Tensor) -> Tensor:
        return logits[:, 0]

    gradients = [
        Target(Defence(Weighted(), purifier), samples=[0]).gradient(images, first)[1].flatten().tolist()
        for purifier in (None, Same())
    ]
    assert gradients[0] == gradients[1] == [1, 2, 3, 4]
