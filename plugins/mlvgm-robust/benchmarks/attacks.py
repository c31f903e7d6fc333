"""Native attacks against foolbox, torchattacks and pyautoattack on the shipped classifier, at equal iterations.

    python plugins/mlvgm-robust/benchmarks/attacks.py [--quick]

One run gives times and results: distances of minimal-norm attacks (median and worst over the images that both break),
robust accuracy of the others. A ratio of times above 1 means that the other library takes longer.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mlvgm.defence import Defence
from mlvgm.errors import MlvgmError
from mlvgm.harness import perturbation_norm
from mlvgm.noise import Keys
from mlvgm.plugins.load import build
from mlvgm.protocols.attack import AttackContext
from mlvgm.target import Target


@dataclass(frozen=True)
class Pair:
    """A native attack and the same of another library, with equal numbers of gradient steps."""

    name: str
    own: dict[str, Any]
    rival: str
    other: dict[str, Any]


def pairs(steps: int) -> list[Pair]:
    """What is compared; ``steps`` is the number of iterations, of C&W that for each of five c."""
    ball = {"norm": "L2", "eps": 0.4}
    searches = {"steps": steps, "binary_search_steps": 5}
    return [
        Pair("deepfool", {"iterations": 50}, "foolbox:L2DeepFoolAttack", {"steps": 50, "candidates": 10}),
        Pair("deepfool", {"iterations": 50}, "torchattacks:DeepFool", {"steps": 50}),
        Pair("carlini-wagner", {"iterations": steps, "searches": 5}, "foolbox:L2CarliniWagnerAttack", searches),
        Pair("carlini-wagner", {"iterations": steps, "searches": 5}, "torchattacks:CW", {"steps": 5 * steps}),
        Pair("fmn", {"iterations": steps, "restarts": 2}, "foolbox:L2FMNAttack", {"steps": 2 * steps}),
        Pair("apgd-ce", {"iterations": steps, **ball}, "torchattacks:APGD", {"steps": steps, "loss": "ce", **ball}),
        Pair(
            "autoattack",
            {"iterations": steps, "queries": steps, "parts": ["apgd-ce", "apgd-t", "fab-t", "square"], **ball},
            "autoattack:official",
            {"iterations": steps, "queries": steps, **ball},
        ),
    ]


def attack(
    name: str, options: dict[str, Any], defence: Defence, images: Tensor, labels: Tensor
) -> tuple[Tensor, float]:
    """Distances (B,), infinite where the decision is still right, and seconds."""
    samples = range(len(images))
    built, target = build("attacks", name, options), Target(defence, samples=samples)
    context = AttackContext(Keys.of(seed=0, purpose="own", samples=samples))
    start = time.perf_counter()
    found = built(target, images, labels, context=context)
    seconds = time.perf_counter() - start
    with torch.no_grad():
        right = defence(found).argmax(1) == labels
    return perturbation_norm(found, images, built.info.norm).masked_fill(right, torch.inf), seconds


def line(pair: Pair, defence: Defence, images: Tensor, labels: Tensor) -> str:
    """One row of the table."""
    ours, fast = attack(pair.name, pair.own, defence, images, labels)
    theirs, slow = attack(pair.rival, pair.other, defence, images, labels)
    accuracy = " / ".join(f"{float(found.isinf().double().mean()):.3f}" for found in (ours, theirs))
    distances = ""
    if "eps" not in pair.own:
        both = ours.isfinite() & theirs.isfinite()
        middle, worst = ours[both].median(), (ours[both] / theirs[both]).max()
        distances = f"{middle:.4f} / {theirs[both].median():.4f}, worst ratio {worst:.3f}"
    return f"{pair.name:15} {pair.rival:30} {fast:7.2f} s {slow:7.2f} s {slow / fast:7.2f}   {accuracy}   {distances}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="8 images and 20 iterations instead of 64 and 100")
    quick = parser.parse_args().quick
    data = build("datasets", "fashion-mnist")
    classifier = build("classifiers", "fashion-cnn", data=data.info)
    count = 8 if quick else 64
    images, labels = data.batch("test", range(2 * count))
    with torch.no_grad():
        right = (classifier(images).argmax(1) == labels).nonzero().squeeze(1)[:count]
    print(f"{'attack':15} {'other':30} {'ours':>9} {'theirs':>9} {'ratio':>7}   robust accuracy and median distance")
    for pair in pairs(20 if quick else 100):
        try:
            print(line(pair, Defence(classifier), images[right], labels[right]), flush=True)
        except MlvgmError as error:
            print(f"{pair.name:15} {pair.rival:30} skipped: {error}")


if __name__ == "__main__":
    main()
