"""The published protocol against a straightforward emulation of the official loop, on the same images.

    python plugins/mlvgm-robust/benchmarks/published_protocol.py [--images 8] [--steps 1.0]

DeepFool, C&W and the ladder of APGD with FAB attack the shipped classifier behind the shipped NVAE, cosine alphas and
32 votes, with all step counts capped alike. The emulation below takes one image at a time, sends every one of 32 draws
through encoder and decoder, and gives each class in DeepFool and FAB a backward pass. It is compared with

* step for step: the same steps and draws, batched, encodings shared between draws, and
* economical: the same attacks with 4 draws in a gradient and the two likeliest boundaries, successes confirmed on
  fresh draws (switches fixed).

All adversarial images are scored on the same fresh draws. The script fails if robust accuracy of the economical way is
higher than that of the emulation at any of the bounds.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from mlvgm.defence import Defence
from mlvgm.noise import Keys
from mlvgm.plugins.load import build
from mlvgm.protocols.attack import Attack, AttackContext
from mlvgm.target import Target
from mlvgm_robust.attacks.hyperplane import to_hyperplane
from mlvgm_robust.published.apgd import checkpoints
from mlvgm_robust.published.autoattack import CE_BOUNDS, DLR_BOUNDS, PublishedAutoAttack
from mlvgm_robust.published.carlini_wagner import PublishedCarliniWagner
from mlvgm_robust.published.deepfool import PublishedDeepFool
from mlvgm_robust.published.metric import FAILED, robust_accuracy
from mlvgm_robust.published.switches import Switches
from mlvgm_robust.published.tasks import TASKS
from mlvgm_robust.purifiers import mlvgm

_DRAWS, _SELECTION = 32, 16
_TASK = TASKS["fashion"]
_NAMES = ("deepfool", "carlini-wagner", "autoattack")


@dataclass(frozen=True)
class Caps:
    """Most steps of every loop: DeepFool, C&W and its restarts, APGD at each bound, FAB."""

    deepfool: int = 6
    carlini_wagner: int = 40
    restarts: int = 2
    apgd: int = 8
    fab: int = 6


@dataclass
class Official:
    """The official loop for one image at a time; ``passes`` counts forward and backward passes of 32 draws."""

    defence: Defence
    caps: Caps
    generator: torch.Generator
    passes: list[int] = field(default_factory=lambda: [0, 0])
    drawn: int = 0

    def logits(self, image: Tensor) -> Tensor:
        """Mean over 32 copies of the image, each encoded and decoded on its own: (1, K)."""
        keys = Keys.of(seed=5, purpose="emulation", samples=range(self.drawn, self.drawn + _DRAWS))
        self.drawn += _DRAWS
        self.passes[0] += 1
        return self.defence.draw(image.repeat(_DRAWS, 1, 1, 1), keys).mean((0, 1))[None]

    def fooled(self, image: Tensor, label: int) -> bool:
        with torch.no_grad():
            return int(self.logits(image).argmax()) != label

    def slope(self, value: Tensor, at: Tensor, *, keep: bool = False) -> Tensor:
        self.passes[1] += 1
        return torch.autograd.grad(value, at, retain_graph=keep)[0]

    def normal(self, like: Tensor) -> Tensor:
        return torch.randn(like.shape, generator=self.generator)

    def boundaries(self, image: Tensor, label: int, rivals: list[int]) -> tuple[Tensor, Tensor]:
        """z_j − z_y and its slope for each rival, a backward pass each."""
        at = image.clone().requires_grad_(True)
        out = self.logits(at)[0]
        gaps = [out[rival] - out[label] for rival in rivals]
        slopes = [self.slope(gap, at, keep=gap is not gaps[-1]) for gap in gaps]
        return torch.stack(gaps).detach(), torch.cat(slopes)

    def deepfool(self, image: Tensor, label: int) -> Tensor | None:
        values = _TASK.deepfool
        with torch.no_grad():
            order = self.logits(image)[0].argsort(descending=True).tolist()
        if order[0] != label:
            return image
        rivals, point = order[1 : values.classes], image
        for _ in range(self.caps.deepfool):
            gaps, slopes = self.boundaries(point, label, rivals)
            lengths = slopes.flatten(1).norm(dim=1)
            nearest = int((gaps.abs() / lengths).argmin())
            step = (gaps[nearest].abs() / lengths[nearest] + 1e-4) * slopes[nearest] / lengths[nearest]
            point = point + (1 + values.overshoot) * step
            if self.fooled(point, label):
                return point
        return None

    def fgsm(self, image: Tensor, label: int, length: float) -> Tensor:
        at = image.clone().requires_grad_(True)
        sign = self.slope(torch.nn.functional.cross_entropy(self.logits(at), torch.tensor([label])), at).sign()
        return (image + length * sign / sign.norm()).clamp(0, 1)

    def carlini_wagner(self, image: Tensor, label: int) -> Tensor | None:
        values, c = _TASK.carlini_wagner, _TASK.carlini_wagner.c
        best, nearest = None, torch.inf
        for _ in range(self.caps.restarts):
            noise = self.normal(image)
            start = self.fgsm(image, label, _TASK.start) + _TASK.noise * noise / noise.norm()
            w = torch.atanh(2 * start.clamp(1e-6, 1 - 1e-6) - 1).requires_grad_(True)
            adam = torch.optim.Adam([w], lr=values.rate)
            stored, length, success, updates, losses = None, torch.inf, False, 0, []
            for _ in range(self.caps.carlini_wagner):
                point = (w.tanh() + 1) / 2
                out = self.logits(point)[0]
                others = torch.cat([out[:label], out[label + 1 :]]).max()
                away = (point - image).square().sum()
                loss = away + c * (out[label] - others + values.kappa).clamp_min(0)
                (w.grad,) = (self.slope(loss, w),)
                fooled = int(out.argmax()) != label
                if (fooled and not success) or (float(away.detach()) < length and stored is not None):
                    stored, length, success = point.detach(), float(away.detach()), fooled
                updates += 1 if fooled or updates else 0
                window = losses[-values.window :]
                torch.nn.utils.clip_grad_norm_([w], 1.0)
                adam.step()
                if updates > values.window + 1 and float(loss.detach()) > sum(window) / len(window):
                    break
                losses.append(float(loss.detach()))
            if success and length < nearest:
                best, nearest, c = stored, length, 0.8 * c
            else:
                c *= 0.9 if success else 1.2
            c = min(max(c, 0.1), 1000.0)
        return best

    def apgd(self, image: Tensor, label: int, loss: Callable[[Tensor, int], Tensor], eps: float) -> Tensor:
        def inside(point: Tensor) -> Tensor:
            delta = point - image
            return (image + delta * (eps / delta.norm()).clamp_max(1)).clamp(0, 1)

        def evaluate(point: Tensor) -> tuple[float, Tensor]:
            at = point.clone().requires_grad_(True)
            value = loss(self.logits(at), label)
            return float(value.detach()), self.slope(value, at)

        noise = self.normal(image)
        point = previous = inside(image + eps * noise / noise.norm())
        value, slope = evaluate(point)
        best = (value, point, slope)
        step, rises, halved, checked, last = 2 * eps, 0, True, value, 0
        for i in range(1, self.caps.apgd + 1):
            ahead = inside(point + step * slope / slope.norm().clamp_min(1e-12))
            share = 1.0 if i == 1 else 0.75
            moved = inside(point + share * (ahead - point) + (1 - share) * (point - previous))
            previous, point, before = point, moved, value
            value, slope = evaluate(point)
            rises += value > before
            best = (value, point, slope) if value > best[0] else best
            if i in checkpoints(self.caps.apgd):
                stalled = rises < 0.75 * (i - last) or (not halved and best[0] <= checked)
                if stalled:
                    step, (value, point, slope) = step / 2, best
                halved, checked, rises, last = stalled, best[0], 0, i
        return point

    def fab(self, image: Tensor, label: int) -> Tensor | None:
        rivals = [k for k in range(self.defence.classes) if k != label]
        point, best, nearest = image, None, torch.inf
        flat = image.flatten(1)
        for _ in range(self.caps.fab):
            gaps, slopes = self.boundaries(point, label, rivals)
            lengths = slopes.flatten(1).norm(dim=1)
            k = int((gaps.abs() / lengths).argmin())
            w, x = slopes[k].flatten()[None], point.flatten(1)
            step = to_hyperplane(x, w, gaps[k][None], norm="L2")
            back = to_hyperplane(flat, w, gaps[k][None] + (w * (flat - x)).sum(1), norm="L2")
            alpha = float((step.norm() / (step.norm() + back.norm()).clamp_min(1e-12)).clamp_max(0.1))
            moved = (1 - alpha) * (x + 1.05 * step) + alpha * (flat + 1.05 * back)
            point = moved.clamp(0, 1).reshape_as(image)
            if self.fooled(point, label):
                away = float((point - image).norm())
                best, nearest = (point, away) if away < nearest else (best, nearest)
                point = 0.1 * image + 0.9 * point
        return best

    def autoattack(self, image: Tensor, label: int) -> Tensor | None:
        found = []
        for loss, bounds in ((_cross_entropy, CE_BOUNDS), (_dlr, DLR_BOUNDS)):
            for eps in bounds:
                point = self.apgd(image, label, loss, eps)
                if self.fooled(point, label):
                    found.append(point)
                    break
        by_fab = self.fab(image, label)
        found += [] if by_fab is None else [by_fab]
        return min(found, key=lambda point: float((point - image).norm()), default=None)


def _cross_entropy(logits: Tensor, label: int) -> Tensor:
    return torch.nn.functional.cross_entropy(logits, torch.tensor([label]))


def _dlr(logits: Tensor, label: int) -> Tensor:
    ordered = logits[0].sort(descending=True).values
    rival = torch.cat([logits[0, :label], logits[0, label + 1 :]]).max()
    return (rival - logits[0, label]) / (ordered[0] - ordered[2] + 1e-12)


def ours(caps: Caps, *, economical: bool) -> dict[str, Attack]:
    """The published attacks with capped steps."""
    values, deepfool = _TASK.carlini_wagner, _TASK.deepfool
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
            _TASK.start,
            _TASK.noise,
            # An image that starts far away is not yet near where the steps are capped.
            switches.model_copy(update={"start": "published"}),
        ),
        "autoattack": PublishedAutoAttack(
            caps.apgd,
            fab_iterations=caps.fab,
            fab_classes=2 if economical else None,
            reported=_TASK.bounds,
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


def emulate(defence: Defence, images: Tensor, labels: Tensor, caps: Caps) -> Outcome:
    """The official loop; an image without a success stays as it is."""
    outcome = Outcome()
    for name in _NAMES:
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
        outcome.forwards[name], outcome.backwards[name] = (_DRAWS * count for count in official.passes)
    return outcome


def attack_with(attacks: dict[str, Attack], defence: Defence, images: Tensor, labels: Tensor, *, eot: int) -> Outcome:
    """Ours, all images at once."""
    outcome, samples = Outcome(), range(len(images))
    for name, attack in attacks.items():
        target = Target(defence, samples=samples, eot=eot)
        context = AttackContext(Keys.of(seed=0, purpose="attacker", samples=samples), eot=eot, selection=_SELECTION)
        start = time.process_time()
        outcome.images[name] = attack(target, images, labels, context=context)
        outcome.seconds[name] = time.process_time() - start
        outcome.forwards[name], outcome.backwards[name] = target.counts.forwards, target.counts.backwards
    return outcome


def distances(defence: Defence, images: Tensor, labels: Tensor, outcome: Outcome) -> list[float]:
    """Smallest distance over the attacks of candidates in the box that one fresh decision of 32 votes gets wrong."""
    nearest = torch.full((len(images),), FAILED)
    keys = Keys.of(seed=9, purpose="score", samples=range(len(images)), draws=range(_DRAWS))
    for candidates in outcome.images.values():
        with torch.no_grad():
            wrong = defence.vote(defence.draw(candidates.clamp(0, 1), keys)).argmax(1) != labels
        length = (candidates.clamp(0, 1) - images).flatten(1).norm(dim=1)
        nearest = torch.where(wrong, nearest.minimum(length), nearest)
    return nearest.tolist()


def show(name: str, outcome: Outcome, found: list[float], slow: Outcome | None) -> list[float]:
    """Print time, where it goes, and robust accuracy; returns the latter at each bound."""
    accuracies = [estimate.value for estimate in robust_accuracy(found, _TASK.bounds)]
    ratio = "" if slow is None else f"   {slow.total / outcome.total:5.2f} times faster"
    print(f"{name:14} {outcome.total:7.1f} CPU seconds{ratio}")
    for part in _NAMES:
        each = "" if slow is None else f"{slow.seconds[part] / outcome.seconds[part]:6.2f}×"
        print(
            f"    {part:15} {outcome.seconds[part]:7.1f} s {each:>7}   "
            f"{outcome.forwards[part]:7d} forward and {outcome.backwards[part]:7d} backward passes (images × draws)"
        )
    at = ", ".join(f"{value:.2f} at {bound:g}" for value, bound in zip(accuracies, _TASK.bounds, strict=True))
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
    defence = Defence(classifier, mlvgm.build(mlvgm.MlvgmConfig(alphas="cosine"), generator=generator), votes=_DRAWS)
    images, labels = data.batch("test", range(options.images))
    print(f"{options.images} images, {_DRAWS} votes; caps: {caps}")
    slow = emulate(defence, images, labels, caps)
    theirs = show("official loop", slow, distances(defence, images, labels, slow), None)
    fast = attack_with(ours(caps, economical=False), defence, images, labels, eot=_DRAWS)
    show("step for step", fast, distances(defence, images, labels, fast), slow)
    cheap = attack_with(ours(caps, economical=True), defence, images, labels, eot=4)
    reached = show("economical", cheap, distances(defence, images, labels, cheap), slow)
    if any(mine > official for mine, official in zip(reached, theirs, strict=True)):
        raise SystemExit("the economical way leaves higher robust accuracy")


if __name__ == "__main__":
    main()
