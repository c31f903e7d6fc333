"""The small trained classifier of the golden data, and helpers to attack and score it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor

from mlvgm.defence import Defence
from mlvgm.noise import Keys
from mlvgm.protocols.attack import Attack, AttackContext
from mlvgm.target import Target

GOLDEN = Path(__file__).parents[3] / "tests" / "golden" / "attacks"


@dataclass(frozen=True)
class GoldenClassifier:
    """2x − 1, two convolutions, two linear layers."""

    weights: dict[str, Tensor]
    scale: float = 1.0
    classes: int = 10

    def to(self, device: torch.device | str) -> Self:
        return self

    def __call__(self, images: Tensor) -> Tensor:
        w = self.weights
        h = F.conv2d(2 * images - 1, w["conv1.weight"], w["conv1.bias"], padding=1).relu()
        h = F.conv2d(h, w["conv2.weight"], w["conv2.bias"], stride=2, padding=1).relu()
        h = F.linear(h.flatten(1), w["fc1.weight"], w["fc1.bias"]).relu()
        return self.scale * F.linear(h, w["fc2.weight"], w["fc2.bias"])[:, : self.classes]


def classifier(*, scale: float = 1.0, classes: int = 10) -> GoldenClassifier:
    return GoldenClassifier(load_file(GOLDEN / "weights.safetensors"), scale, classes)


def stored() -> tuple[dict[str, Tensor], dict[str, float]]:
    config = json.loads((GOLDEN / "config.json").read_text())
    return load_file(GOLDEN / "io.safetensors"), config


def attack_context(
    samples: Sequence[int],
    *,
    eot: int = 1,
    selection: int = 1,
    seed: int = 0,
    progress: Callable[[str], None] = lambda message: None,
) -> AttackContext:
    keys = Keys.of(seed=seed, purpose="attack-own", samples=samples)
    return AttackContext(keys, eot=eot, selection=selection, progress=progress)


def run(
    attack: Attack,
    defence: Defence,
    images: Tensor,
    labels: Tensor,
    *,
    samples: Sequence[int] | None = None,
    eot: int = 1,
    selection: int = 1,
    seed: int = 0,
    targets: Tensor | None = None,
    memory: int = 512,
    progress: Callable[[str], None] = lambda message: None,
) -> Tensor:
    """Candidates of ``attack`` against ``defence``."""
    samples = range(len(images)) if samples is None else samples
    target = Target(defence, samples=samples, seed=seed, eot=eot, memory=memory)
    context = attack_context(samples, eot=eot, selection=selection, seed=seed, progress=progress)
    return attack(target, images, labels, targets=targets, context=context)


def fresh_accuracy(
    defence: Defence, images: Tensor, labels: Tensor, *, draws: int = 64, purpose: str = "score"
) -> Tensor:
    """Share of right single draws of each image, (B,), on noise no attack has seen."""
    keys = Keys.of(seed=1, purpose=purpose, samples=range(len(images)), draws=range(draws))
    with torch.no_grad():
        return (defence.draw(images, keys).argmax(2) == labels[:, None]).double().mean(1)
