"""The small trained classifier of the golden data, and helpers to attack and score it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from mlvgm.noise import Keys
from mlvgm.protocols.attack import Attack, AttackContext
from mlvgm_robust.evaluation.defence import Defence
from mlvgm_robust.evaluation.target import Target

GOLDEN = Path(__file__).parents[3] / "tests" / "golden" / "attacks"


class GoldenClassifier(nn.Module):
    """2x − 1, two convolutions, two linear layers."""

    def __init__(self, weights: Mapping[str, Tensor], scale: float = 1.0, classes: int = 10) -> None:
        super().__init__()
        self.scale, self.classes = scale, classes
        (wide, channels, size, _), (wider, *_) = weights["conv1.weight"].shape, weights["conv2.weight"].shape
        self.conv1 = nn.Conv2d(channels, wide, size, padding=1)
        self.conv2 = nn.Conv2d(wide, wider, size, stride=2, padding=1)
        self.fc1, self.fc2 = (nn.Linear(*reversed(weights[f"{name}.weight"].shape)) for name in ("fc1", "fc2"))
        self.load_state_dict(weights)
        self.requires_grad_(False).eval()

    def forward(self, images: Tensor) -> Tensor:
        h = self.conv2(self.conv1(2 * images - 1).relu()).relu()
        logits: Tensor = self.scale * self.fc2(self.fc1(h.flatten(1)).relu())
        return logits[:, : self.classes]


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
