"""Batched against one-image-at-a-time evaluation, at equal decisions.

    python plugins/mlvgm-robust/benchmarks/batching.py [--images 16]

The same attack with the same seeds runs once on the whole batch and once on each image; because all randomness follows
the image, both must make the same decisions, and the script fails if they do not. It prints the ratio of their times,
for a small convolutional classifier without defence and behind input noise, and behind the shipped NVAE where that is
installed.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor

from mlvgm.errors import MlvgmError
from mlvgm.noise import Keys
from mlvgm.plugins.load import build
from mlvgm.protocols.attack import Attack, AttackContext
from mlvgm_robust.attacks.autoattack import AutoAttack
from mlvgm_robust.evaluation.defence import Defence
from mlvgm_robust.evaluation.target import Target
from mlvgm_robust.purifiers import mlvgm, noise

_EOT, _SELECTION = 4, 16


@dataclass(frozen=True)
class SmallCnn:
    """Two convolutions and a linear layer with random weights; the pictures' own predictions serve as labels."""

    weights: tuple[Tensor, ...]
    classes: int = 10

    @classmethod
    def of(cls, *, channels: int, side: int, seed: int = 0) -> Self:
        generator = torch.Generator().manual_seed(seed)
        shapes = ((16, channels, 3, 3), (16, 16, 3, 3), (10, 16 * (side // 4) ** 2))
        scales = [(2 / torch.Size(shape[1:]).numel()) ** 0.5 for shape in shapes]
        return cls(tuple(s * torch.randn(*shape, generator=generator) for s, shape in zip(scales, shapes, strict=True)))

    def to(self, device: torch.device | str) -> Self:
        return self

    def __call__(self, images: Tensor) -> Tensor:
        first, second, last = self.weights
        h = F.conv2d(2 * images - 1, first, stride=2, padding=1).relu()
        h = F.conv2d(h, second, stride=2, padding=1).relu()
        return h.flatten(1) @ last.T


def attack_samples(attack: Attack, defence: Defence, images: Tensor, labels: Tensor, samples: list[int]) -> Tensor:
    """Candidates for the images numbered ``samples``."""
    target = Target(defence, samples=samples, eot=_EOT)
    context = AttackContext(Keys.of(seed=0, purpose="own", samples=samples), eot=_EOT, selection=_SELECTION)
    return attack(target, images[samples], labels[samples], context=context)


def decisions(defence: Defence, images: Tensor, labels: Tensor) -> Tensor:
    """Which of 16 fresh draws are right, (B, 16)."""
    keys = Keys.of(seed=1, purpose="score", samples=range(len(images)), draws=range(16))
    with torch.no_grad():
        return defence.draw(images, keys).argmax(2) == labels[:, None]


def timed(work: Callable[[], Tensor]) -> tuple[Tensor, float]:
    start = time.perf_counter()
    result = work()
    return result, time.perf_counter() - start


def compare(name: str, defence: Defence, images: Tensor, *, eps: float) -> None:
    """Print the ratio of one defence.

    Raises:
        SystemExit: the two ways disagree about an image.
    """
    attack = AutoAttack("L2", eps, iterations=10, classes=2, queries=20)
    everyone = list(range(len(images)))
    keys = Keys.of(seed=2, purpose="labels", samples=everyone, draws=range(16))
    with torch.no_grad():
        labels = defence.draw(images, keys).mean(1).argmax(1)
    batched, fast = timed(lambda: attack_samples(attack, defence, images, labels, everyone))
    single, slow = timed(
        lambda: torch.cat([attack_samples(attack, defence, images, labels, [sample]) for sample in everyone])
    )
    ours, theirs = decisions(defence, batched, labels), decisions(defence, single, labels)
    if not torch.equal(ours, theirs):
        raise SystemExit(f"{name}: {int((ours != theirs).sum())} of {ours.numel()} decisions differ")
    accuracy = float(ours.double().mean())
    print(
        f"{name:12} batched {fast:6.2f} s   one at a time {slow:6.2f} s   ratio {slow / fast:5.2f}"
        f"   accuracy {accuracy:.2f}"
    )


def shipped() -> tuple[Defence, Tensor] | None:
    """The shipped classifier behind the shipped NVAE, and eight real images; None where they are not installed."""
    try:
        data = build("datasets", "fashion-mnist")
        classifier = build("classifiers", "fashion-cnn", data=data.info)
        purifier = mlvgm.build(mlvgm.MlvgmConfig(alphas="keep:6"), generator=build("generators", "nvae"))
    except MlvgmError as error:
        print(f"nvae         skipped: {error}")
        return None
    return Defence(classifier, purifier), data.batch("test", range(8))[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=16, help="how many")
    count = parser.parse_args().images
    images = torch.rand(count, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    classifier = SmallCnn.of(channels=1, side=32)
    compare("undefended", Defence(classifier), images, eps=0.1)
    compare("noise", Defence(classifier, noise.build(noise.NoiseConfig(norm=2.0))), images, eps=0.3)
    found = shipped()
    if found is not None:
        compare("nvae", *found, eps=0.7)


if __name__ == "__main__":
    main()
