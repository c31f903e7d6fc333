"""Sound and deliberately broken defences, attacks and judges, for the checks to tell apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import torch
from golden_classifier import classifier, stored
from linear_models import linear_generator
from torch import Tensor

from mlvgm.noise import Keys
from mlvgm.plugins.index import Index
from mlvgm.plugins.load import build, component, config_class
from mlvgm.protocols.attack import Attack, AttackContext, AttackInfo
from mlvgm_robust.attacks.apgd_ce import ApgdCe
from mlvgm_robust.attacks.losses import cross_entropy
from mlvgm_robust.audit.attempts import AuditContext
from mlvgm_robust.audit.check import Check
from mlvgm_robust.audit.finding import Finding
from mlvgm_robust.audit.subject import Subject
from mlvgm_robust.evaluation.defence import Defence
from mlvgm_robust.evaluation.harness import Attacked, Protocol, run_attack, score
from mlvgm_robust.evaluation.target import Target
from mlvgm_robust.purifiers.mlvgm import MlvgmPurifier
from mlvgm_robust.purifiers.noise import AddNoise
from mlvgm_robust.purifiers.none import Identity

STRONG = ApgdCe("L2", 0.5, iterations=12)


def subject(defence: Defence, attack: Attack = STRONG, *, count: int = 24, **options: Any) -> Subject:
    """The evaluation of a defence of the golden classifier on its stored images."""
    io, _ = stored()
    options = {"protocol": Protocol(eot=4, selection=16, score=20)} | options
    return Subject.of(defence, attack, io["x"][:count], io["y"][:count], **options)


def checks(*names: str) -> list[Check]:
    """Checks by name at the demo budget, all of them without names, in the order of their requirements."""
    found = []
    for name in names or Index.installed().names("checks"):
        resolved = component("checks", name)
        if resolved.entry.distribution == "mlvgm-robust":
            preset = getattr(config_class(resolved), "BUDGETS", {}).get("demo", {})
            check = build("checks", name, preset)
            found.append((resolved.component.capabilities["requirement"], name, check))
    return [check for _, _, check in sorted(found, key=lambda each: each[:2])]


def find(name: str, audited: Subject) -> Finding:
    """The finding of one check alone."""
    (check,) = checks(name)
    return check(audited, context=AuditContext())


# Sound defences.


def generative(*, alphas: Sequence[float] = (0.0, 0.0, 1.0), votes: int = 1) -> Defence:
    """A linear-Gaussian generator behind the published purifier."""
    generator = replace(linear_generator(blocks=(200, 400, 168), shape=(3, 16, 16)), scale=0.05)
    return Defence(classifier(), MlvgmPurifier(generator, tuple(alphas)), votes=votes)


SOUND: dict[str, Callable[[int], Subject]] = {
    "undefended": lambda count: subject(Defence(classifier()), count=count),
    "noise": lambda count: subject(Defence(classifier(), AddNoise(2.0)), count=count),
    "noise, votes": lambda count: subject(Defence(classifier(), AddNoise(3.0), votes=4), count=count),
    "generative": lambda count: subject(generative(), count=count),
    "two classes, Linf": lambda count: _two_classes(count),
}


def _two_classes(count: int) -> Subject:
    defence = Defence(classifier(classes=2))
    images = subject(defence, count=count).images
    labels = defence(images).argmax(1)
    return Subject.of(defence, ApgdCe("Linf", 0.02, iterations=12), images, labels, protocol=Protocol(eot=1))


# Broken defences.


@dataclass(frozen=True)
class Rounding(Identity):
    """Saves the image as bytes, which has no gradient, and says it has one."""

    levels: int = 255

    def purify(self, images: Tensor, noise: Any) -> Tensor:
        return super().purify((images * self.levels).round() / self.levels, noise)


@dataclass(frozen=True)
class StraightThrough(Identity):
    """Rounds coarsely, and gives autograd the identity as its derivative."""

    levels: int = 4

    def purify(self, images: Tensor, noise: Any) -> Tensor:
        rounded = (images * self.levels).round() / self.levels
        return super().purify(images + (rounded - images).detach(), noise)


@dataclass(frozen=True)
class Detached(Identity):
    """Blurs through an encoder whose gradient is cut; ``leak`` of the image goes past it."""

    leak: float = 0.0

    def purify(self, images: Tensor, noise: Any) -> Tensor:
        encoded = torch.nn.functional.avg_pool2d(images, 3, stride=1, padding=1).detach()
        return super().purify(self.leak * images + (1 - self.leak) * encoded, noise)


@dataclass(frozen=True)
class Clamped(Identity):
    """Clamps by a clamp whose derivative at the edges of the box is 0, as that of recent versions of torch."""

    def purify(self, images: Tensor, noise: Any) -> Tensor:
        inside = (images > 0) & (images < 1)
        return super().purify(torch.where(inside, images, images.clamp(0, 1).detach()), noise)


@dataclass(frozen=True)
class Probabilities:
    """The golden classifier with a softmax at its end."""

    inner: Any = field(default_factory=classifier)
    classes: int = 10

    def to(self, device: torch.device | str) -> Self:
        return self

    def __call__(self, images: Tensor) -> Tensor:
        return self.inner(images).softmax(1)


@dataclass(frozen=True)
class KnowsSamples(Defence):
    """Looks the label up by the sample id that names the noise."""

    answers: Tensor | None = None

    def draw(self, images: Tensor, keys: Keys, *, backward: Any = "exact") -> Tensor:
        logits = super().draw(images, keys, backward=backward)
        ids = torch.tensor([sample for sample, _ in keys.rows[:: len(keys) // len(images)]])
        assert self.answers is not None
        known = (ids >= 0) & (ids < len(self.answers))
        bonus = torch.nn.functional.one_hot(self.answers[ids.clamp(0, len(self.answers) - 1)], self.classes)
        return logits + 50.0 * (bonus * known[:, None])[:, None]


@dataclass(frozen=True)
class KnowsImages:
    """Recognises the very images of the test set, and guesses on any other."""

    images: Tensor
    labels: Tensor
    classes: int = 10

    def to(self, device: torch.device | str) -> Self:
        return self

    def __call__(self, images: Tensor) -> Tensor:
        same = (images.flatten(1)[:, None] == self.images.flatten(1)).all(2).to(images.dtype)
        guess = images.flatten(1)[:, : self.classes]
        return guess + 50.0 * same @ torch.nn.functional.one_hot(self.labels, self.classes).to(images.dtype)


# Broken attacks. Each takes the options that checks turn.


@dataclass(frozen=True)
class Wrapped:
    """An attack around APGD-CE."""

    norm: Any = "L2"
    eps: float = 0.5
    iterations: int = 12
    restarts: int = 1

    @property
    def info(self) -> AttackInfo:
        return AttackInfo(type(self).__name__.lower(), self.norm, self.eps)

    def inner(self, **options: Any) -> ApgdCe:
        return replace(ApgdCe(self.norm, self.eps, iterations=self.iterations, restarts=self.restarts), **options)

    def __call__(
        self, target: Target, images: Tensor, labels: Tensor, *, targets: Tensor | None = None, context: AttackContext
    ) -> Tensor:
        return self.inner()(target, images, labels, targets=targets, context=context)


@dataclass(frozen=True)
class TooFar(Wrapped):
    """Leaves the ball by a thousandth."""

    def __call__(self, target: Target, images: Tensor, labels: Tensor, **options: Any) -> Tensor:
        return self.inner(eps=self.eps + 1e-3)(target, images, labels, **options)


@dataclass(frozen=True)
class StopsEarly(Wrapped):
    """One short step along the gradient, whatever its iterations are."""

    def __call__(self, target: Target, images: Tensor, labels: Tensor, **options: Any) -> Tensor:
        _, gradient, _ = target.gradient(images, cross_entropy, labels)
        length = gradient.flatten(1).norm(dim=1)[:, None, None, None].clamp_min(1e-12)
        return (images + min(self.eps, 0.1) * gradient / length).clamp(0, 1)


@dataclass(frozen=True)
class KeepsLuck(Wrapped):
    """Ascends, and keeps the first point that a single draw gets wrong."""

    def __call__(self, target: Target, images: Tensor, labels: Tensor, **options: Any) -> Tensor:
        point, done = images, torch.zeros(len(images), dtype=torch.bool)
        for _ in range(self.iterations):
            done |= (target(point, draws=16).argmax(2) != labels[:, None]).any(1)
            _, gradient, _ = target.gradient(point, cross_entropy, labels)
            length = gradient.flatten(1).norm(dim=1)[:, None, None, None].clamp_min(1e-12)
            ahead = point + 2 * self.eps / self.iterations * gradient / length
            delta = ahead - images
            shrink = (self.eps / delta.flatten(1).norm(dim=1).clamp_min(1e-12)).clamp_max(1)[:, None, None, None]
            point = torch.where(done[:, None, None, None], point, (images + shrink * delta).clamp(0, 1))
        return point


@dataclass(frozen=True)
class Tires(Wrapped):
    """Gets weaker the longer it works."""

    def __call__(self, target: Target, images: Tensor, labels: Tensor, **options: Any) -> Tensor:
        return images if self.iterations > 8 else super().__call__(target, images, labels, **options)


@dataclass(frozen=True)
class Overshoots(Wrapped):
    """Gives up where its ball is wide."""

    def __call__(self, target: Target, images: Tensor, labels: Tensor, **options: Any) -> Tensor:
        return images if self.eps > 0.8 else super().__call__(target, images, labels, **options)


@dataclass(frozen=True)
class Idle(Wrapped):
    """Does nothing."""

    def __call__(self, target: Target, images: Tensor, labels: Tensor, **options: Any) -> Tensor:
        return images.clone()


@dataclass(frozen=True)
class Ill(Wrapped):
    """Returns one pixel that is no number, and another outside the box."""

    def __call__(self, target: Target, images: Tensor, labels: Tensor, **options: Any) -> Tensor:
        ill = images.clone()
        ill[0, 0, 0, 0], ill[1, 0, 0, 0] = torch.nan, 1.01
        return ill


# Broken judges.


def lucky_judge(defence: Defence, attack: Attack, images: Tensor, labels: Tensor, **options: Any) -> Attacked:
    """Counts an image as broken if any of eight decisions about it is wrong."""
    attacked = run_attack(defence, attack, images, labels, **options)
    protocol = options["protocol"]
    draws = [
        score(
            defence, attacked.images, labels, samples=options["samples"], protocol=protocol, purpose=f"score/lucky{i}"
        )
        for i in range(8)
    ]
    right = torch.stack([each.right for each in draws]).all(0)
    single = torch.stack([each.single for each in draws]).amin(0)
    return replace(attacked, robust=replace(attacked.robust, right=right, single=single))


def forgetful_judge(defence: Defence, attack: Attack, images: Tensor, labels: Tensor, **options: Any) -> Attacked:
    """Hands over other images than those it has scored."""
    return replace(run_attack(defence, attack, images, labels, **options), images=images)
