"""Native attacks against foolbox, torchattacks and pyautoattack on the shipped classifier.

    python plugins/mlvgm-robust/benchmarks/attacks.py [--quick] [NAME ...]

One run gives processor seconds on one thread and results: robust accuracy, and of minimal-norm attacks distances over
the images that both break and the share of images on which ours is more than 0.1 % farther, or alone fails. A ratio of
times above 1 means that the other library takes longer. C&W and FMN run with as many iterations as the other, where
they do more work (boundaries to start across, a bisection at the end, no end for the whole batch at once), and with
half of them.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mlvgm.errors import MlvgmError
from mlvgm.noise import Keys
from mlvgm.plugins.load import build
from mlvgm.protocols.attack import AttackContext
from mlvgm_robust.evaluation.admissible import perturbation_norm
from mlvgm_robust.evaluation.defence import Defence
from mlvgm_robust.evaluation.target import Target


@dataclass(frozen=True)
class Pair:
    """A native attack, the same of another library, and the settings of ours to compare with it."""

    name: str
    rival: str
    other: dict[str, Any]
    settings: tuple[dict[str, Any], ...]


def pairs(steps: int) -> list[Pair]:
    """What is compared; ``steps`` is the number of iterations, of C&W that for each of five c."""
    ball = {"norm": "L2", "eps": 0.4}
    parts = ["apgd-ce", "apgd-t", "fab-t", "square"]
    deepfool = ({"iterations": 50},)
    searches = tuple({"iterations": count, "searches": 5} for count in (steps, steps // 2))
    restarts = tuple({"iterations": count, "restarts": 2} for count in (steps, steps // 2))
    budget = {"iterations": steps, "queries": steps, **ball}
    return [
        Pair("deepfool", "foolbox:L2DeepFoolAttack", {"steps": 50, "candidates": 10}, deepfool),
        Pair("deepfool", "torchattacks:DeepFool", {"steps": 50}, deepfool),
        Pair("carlini-wagner", "foolbox:L2CarliniWagnerAttack", {"steps": steps, "binary_search_steps": 5}, searches),
        Pair("carlini-wagner", "torchattacks:CW", {"steps": 5 * steps}, searches),
        Pair("fmn", "foolbox:DDNAttack", {"steps": 2 * steps}, restarts),
        Pair("apgd-ce", "torchattacks:APGD", {"steps": steps, "loss": "ce", **ball}, ({"iterations": steps, **ball},)),
        Pair("autoattack", "autoattack:official", budget, ({"parts": parts, **budget},)),
    ]


def attack(
    name: str, options: dict[str, Any], defence: Defence, images: Tensor, labels: Tensor
) -> tuple[Tensor, float]:
    """Distances (B,), infinite where the decision is still right, and processor seconds."""
    samples = range(len(images))
    built, target = build("attacks", name, options), Target(defence, samples=samples)
    context = AttackContext(Keys.of(seed=0, purpose="own", samples=samples))
    start = time.process_time()
    found = built(target, images, labels, context=context)
    seconds = time.process_time() - start
    with torch.no_grad():
        right = defence(found).argmax(1) == labels
    return perturbation_norm(found, images, built.info.norm).masked_fill(right, torch.inf), seconds


def lines(pair: Pair, defence: Defence, images: Tensor, labels: Tensor) -> Iterator[str]:
    """The rows of the table for one pair, one a setting of ours."""
    theirs, slow = attack(pair.rival, pair.other, defence, images, labels)
    for own in pair.settings:
        ours, fast = attack(pair.name, own, defence, images, labels)
        accuracy = " / ".join(f"{float(found.isinf().double().mean()):.3f}" for found in (ours, theirs))
        distances = ""
        if "eps" not in own:
            both = ours.isfinite() & theirs.isfinite()
            near, far = ours[both], theirs[both]
            larger = float((ours > 1.001 * theirs).double().mean())
            distances = (
                f"{near.median():.4f} / {far.median():.4f}   {near.mean():.4f} / {far.mean():.4f}   {larger:6.3f}"
            )
        yield (
            f"{pair.name:15} {own['iterations']:6} {pair.rival:29} {fast:7.2f} {slow:7.2f} {slow / fast:6.2f}   "
            f"{accuracy}   {distances}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="8 images and 20 iterations instead of 64 and 100")
    parser.add_argument("names", nargs="*", metavar="NAME", help="native attacks to compare; all by default")
    options = parser.parse_args()
    quick = options.quick
    torch.set_num_threads(1)
    data = build("datasets", "fashion-mnist")
    classifier = build("classifiers", "fashion-cnn", data=data.info)
    count = 8 if quick else 64
    images, labels = data.batch("test", range(2 * count))
    with torch.no_grad():
        right = (classifier(images).argmax(1) == labels).nonzero().squeeze(1)[:count]
    print(
        f"{'attack':15} {'steps':>6} {'other':29} {'ours':>7} {'theirs':>7} {'ratio':>6}   "
        f"{'robust accuracy':15} {'median distance':17} {'mean distance':17} {'larger':>6}"
    )
    for pair in pairs(20 if quick else 100):
        if options.names and pair.name not in options.names:
            continue
        try:
            for line in lines(pair, Defence(classifier), images[right], labels[right]):
                print(line, flush=True)
        except MlvgmError as error:
            print(f"{pair.name:15} {pair.rival:29} skipped: {error}")


if __name__ == "__main__":
    main()
