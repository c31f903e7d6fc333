"""The published protocol against a straightforward emulation of the official loop, on the same images.

    python plugins/mlvgm-robust/benchmarks/published_protocol.py [--images 8] [--steps 1.0]

DeepFool, C&W and the ladder of APGD with FAB attack the shipped classifier behind the shipped NVAE, cosine alphas and
32 votes, with all step counts capped alike. The emulation (emulation/official.py) takes one image at a time, sends
every one of 32 draws through encoder and decoder, and gives each class in DeepFool and FAB a backward pass. It is
compared with

* step for step: the same steps and draws, batched, encodings shared between draws, and
* economical: the same attacks with 2 draws in a gradient and the two likeliest boundaries, successes confirmed on
  fresh draws (switches fixed).

The three take turns, attack by attack, after one step of each that is not timed. All adversarial images are scored on
the same fresh draws. The script fails if robust accuracy of the economical way is
higher than that of the emulation at any of the bounds.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, field

import torch
from emulation.official import DRAWS, TASK, Caps, Official
from torch import Tensor

from mlvgm.noise import Keys
from mlvgm.plugins.load import build
from mlvgm.protocols.attack import Attack, AttackContext
from mlvgm_robust.evaluation.defence import Defence
from mlvgm_robust.evaluation.target import Target
from mlvgm_robust.published.autoattack import PublishedAutoAttack
from mlvgm_robust.published.carlini_wagner import PublishedCarliniWagner
from mlvgm_robust.published.deepfool import PublishedDeepFool
from mlvgm_robust.published.metric import FAILED, robust_accuracy
from mlvgm_robust.published.switches import Switches
from mlvgm_robust.purifiers import mlvgm

# Of the economical way. On 32 validation images, 4 and 16 break one or two images more at 1.7 times the cost.
_EOT, _SELECTION = 2, 8
_NAMES = ("deepfool", "carlini-wagner", "autoattack")


def ours(caps: Caps, *, economical: bool) -> dict[str, Attack]:
    """The published attacks with capped steps."""
    values, deepfool = TASK.carlini_wagner, TASK.deepfool
    switches = Switches.model_validate("fixed" if economical else "published")
    return {
        "deepfool": PublishedDeepFool(
            3 if economical else deepfool.classes, deepfool.overshoot, caps.deepfool, switches
        ),
        "carlini-wagner": PublishedCarliniWagner(
            values.c,
            values.kappa,
            caps.carlini_wagner,
            values.rate,
            caps.restarts,
            values.window,
            TASK.start,
            TASK.noise,
            # An image that starts far away is not yet near where the steps are capped.
            switches.model_copy(update={"start": "published"}),
        ),
        "autoattack": PublishedAutoAttack(
            caps.apgd,
            fab_iterations=caps.fab,
            fab_classes=2 if economical else None,
            reported=TASK.bounds,
            switches=switches.model_copy(update={"ladder": "published"}),
        ),
    }


@dataclass
class Outcome:
    """Candidates, CPU seconds and passes (images × draws) by attack."""

    images: dict[str, Tensor] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    forwards: dict[str, int] = field(default_factory=dict)
    backwards: dict[str, int] = field(default_factory=dict)

    @property
    def total(self) -> float:
        return sum(self.seconds.values())


def emulate(outcome: Outcome, name: str, defence: Defence, images: Tensor, labels: Tensor, caps: Caps) -> None:
    """The official loop; an image without a success stays as it is."""
    official = Official(defence, caps, torch.Generator().manual_seed(0))
    attack = getattr(official, name.replace("-", "_"))
    start, found = time.process_time(), []
    for i, label in enumerate(labels.tolist()):
        image = images[i : i + 1]
        wrong = official.fooled(image, label)
        adversarial = None if wrong else attack(image, label)
        found.append(image if adversarial is None else adversarial)
    outcome.seconds[name] = time.process_time() - start
    outcome.images[name] = torch.cat(found).detach()
    outcome.forwards[name], outcome.backwards[name] = (DRAWS * count for count in official.passes)


def attack_with(
    outcome: Outcome, name: str, attack: Attack, defence: Defence, images: Tensor, labels: Tensor, *, eot: int
) -> None:
    """Ours, all images at once."""
    samples = range(len(images))
    target = Target(defence, samples=samples, eot=eot)
    context = AttackContext(Keys.of(seed=0, purpose="attacker", samples=samples), eot=eot, selection=_SELECTION)
    start = time.process_time()
    outcome.images[name] = attack(target, images, labels, context=context)
    outcome.seconds[name] = time.process_time() - start
    outcome.forwards[name], outcome.backwards[name] = target.counts.forwards, target.counts.backwards


def compare(defence: Defence, images: Tensor, labels: Tensor, caps: Caps) -> tuple[Outcome, Outcome, Outcome]:
    """Official loop, step for step, economical: the three in turn, attack by attack."""
    slow, fast, cheap = Outcome(), Outcome(), Outcome()
    for name in _NAMES:
        emulate(slow, name, defence, images, labels, caps)
        attack_with(fast, name, ours(caps, economical=False)[name], defence, images, labels, eot=DRAWS)
        attack_with(cheap, name, ours(caps, economical=True)[name], defence, images, labels, eot=_EOT)
    return slow, fast, cheap


def distances(defence: Defence, images: Tensor, labels: Tensor, outcome: Outcome) -> list[float]:
    """Smallest distance over the attacks of candidates in the box that one fresh decision of 32 votes gets wrong."""
    nearest = torch.full((len(images),), FAILED)
    keys = Keys.of(seed=9, purpose="score", samples=range(len(images)), draws=range(DRAWS))
    for candidates in outcome.images.values():
        with torch.no_grad():
            wrong = defence.vote(defence.draw(candidates.clamp(0, 1), keys)).argmax(1) != labels
        length = (candidates.clamp(0, 1) - images).flatten(1).norm(dim=1)
        nearest = torch.where(wrong, nearest.minimum(length), nearest)
    return nearest.tolist()


def show(name: str, outcome: Outcome, found: list[float], slow: Outcome | None) -> list[float]:
    """Print time, where it goes, and robust accuracy; returns the latter at each bound."""
    accuracies = [estimate.value for estimate in robust_accuracy(found, TASK.bounds)]
    ratio = "" if slow is None else f"   {slow.total / outcome.total:5.2f} times faster"
    print(f"{name:14} {outcome.total:7.1f} CPU seconds{ratio}")
    for part in _NAMES:
        each = "" if slow is None else f"{slow.seconds[part] / outcome.seconds[part]:6.2f}×"
        print(
            f"    {part:15} {outcome.seconds[part]:7.1f} s {each:>7}   "
            f"{outcome.forwards[part]:7d} forward and {outcome.backwards[part]:7d} backward passes (images × draws)"
        )
    at = ", ".join(f"{value:.2f} at {bound:g}" for value, bound in zip(accuracies, TASK.bounds, strict=True))
    print(f"    robust accuracy on fresh draws: {at}")
    return accuracies


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=8, help="how many")
    parser.add_argument("--steps", type=float, default=1.0, help="factor on all caps")
    options = parser.parse_args()
    caps = Caps()
    caps = Caps(*(max(1, round(options.steps * value)) for value in vars(caps).values()))
    data = build("datasets", "fashion-mnist")
    classifier = build("classifiers", "fashion-cnn", data=data.info)
    generator = build("generators", "nvae", {"weights": "denoising"})
    defence = Defence(classifier, mlvgm.build(mlvgm.MlvgmConfig(alphas="cosine"), generator=generator), votes=DRAWS)
    images, labels = data.batch("test", range(options.images))
    print(f"{options.images} images, {DRAWS} votes; caps: {caps}")
    compare(defence, images[:1], labels[:1], Caps(1, 1, 1, 1, 1))  # warm
    slow, fast, cheap = compare(defence, images, labels, caps)
    theirs = show("official loop", slow, distances(defence, images, labels, slow), None)
    show("step for step", fast, distances(defence, images, labels, fast), slow)
    reached = show("economical", cheap, distances(defence, images, labels, cheap), slow)
    if any(mine > official for mine, official in zip(reached, theirs, strict=True)):
        raise SystemExit("the economical way leaves higher robust accuracy")


if __name__ == "__main__":
    main()
