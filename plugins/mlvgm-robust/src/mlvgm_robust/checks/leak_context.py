"""leak.context: answers hang on the image, not on how it is asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch

from mlvgm.noise import Keys, uniform
from mlvgm_robust.attacks.losses import margin
from mlvgm_robust.audit.finding import CheckInfo, Finding, NotRun
from mlvgm_robust.audit.imported import WholeModule
from mlvgm_robust.audit.subject import Subject
from mlvgm_robust.checks.comparison import percent
from mlvgm_robust.checks.config import LeakContextConfig
from mlvgm_robust.checks.known_noise import KnownNoise

if TYPE_CHECKING:
    from torch import Tensor

    from mlvgm_robust.audit.attempts import AuditContext
    from mlvgm_robust.evaluation.defence import Defence

Ask = Callable[["Tensor", Keys], "Tensor"]  # images (B, …) and B rows of keys → logits (B, K)

_SPLITS = 6000  # random ways to part the draws of both ways to ask


@dataclass(frozen=True)
class LeakContext:
    """The same answers alone, among others, in another order, several at once, with a gradient asked for or not.

    Asked about the given images and about what the attack made of them. A defence that sees an evaluation, an attack or
    a check in the way it is called answers otherwise then. Where noise follows the image, logits must agree. Where it
    does not, means and spreads of the margin must, in a permutation test of the draws (all images of a call together,
    since they may share noise); of 28 comparisons at p ≤ 0.0002 one in 180 sound defences fails by chance.
    """

    config: LeakContextConfig = field(default_factory=LeakContextConfig)
    info = CheckInfo("leak.context")

    def __call__(self, subject: Subject, *, context: AuditContext) -> Finding:
        whole, subject = subject, subject.first(self.config.images)
        if len(subject) < 2:
            raise NotRun("a single image has no others around it")
        made = context.attempt(whole).attacked.images[: len(subject)]
        exact = not subject.defence.stochastic or (subject.replayable and not _has_modules_noise(subject.defence))
        changed = [
            f"{way}, on {where} ({how})"
            for where, images in (("the images", subject.images), ("what the attack made of them", made))
            for way, how in (self._exactly if exact else self._statistically)(subject, images).items()
        ]
        counts = (
            f"a change of logits by more than {percent(self.config.tolerance)} of their range counts"
            if exact
            else f"a change of the margin's mean or spread with p ≤ {self.config.rare:g} counts"
        )
        return self.info.finding(
            "fail" if changed else "pass",
            f"{len(subject)} images asked alone, among others, in other orders, with and without gradients: {counts}"
            + (
                f"; so it is {'; '.join(changed)}: the defence sees how it is asked"
                if changed
                else ", and there is none"
            ),
            changed=changed,
        )

    def _exactly(self, subject: Subject, images: Tensor) -> dict[str, str]:
        known, keys = KnownNoise.of(subject.defence), _keys(subject, "known")
        before = _plain(known)(images, keys)
        span = (before.amax(1) - before.amin(1)).clamp_min(1e-30)
        changes = {
            way: float(((ask(images, keys) - before).abs().amax(1) / span).max())
            for way, ask in _ways(known, subject).items()
        }
        return {way: percent(change) for way, change in changes.items() if not change <= self.config.tolerance}

    def _statistically(self, subject: Subject, images: Tensor) -> dict[str, str]:
        defence, count = _in_one_call(subject.defence), self.config.draws

        def margins(ask: Ask, purpose: str) -> Tensor:
            calls = [ask(images, _keys(subject, f"{purpose}/{call}")) for call in range(count)]
            return torch.stack([margin(logits, subject.labels) for logits in calls], 1).double()

        before = margins(_plain(defence), "plain")
        after = {way: margins(ask, way) for way, ask in _ways(defence, subject).items()}
        if not _shares_noise(subject.defence):
            keys = Keys.of(
                seed=subject.protocol.seed, purpose="audit/context/once", samples=subject.samples, draws=range(count)
            )
            with torch.no_grad():
                logits = defence.draw(images, keys)
            after["all draws in one call"] = torch.stack(
                [margin(logits[:, draw], subject.labels) for draw in range(count)], 1
            ).double()
        chances = {way: _alike(before, each, seed=subject.protocol.seed) for way, each in after.items()}
        return {way: f"p = {p:.1g}" for way, p in chances.items() if p <= self.config.rare}


def _alike(one: Tensor, other: Tensor, *, seed: int) -> float:
    """p that (n, m) draws of n images come from the same source as (n, m) others, by mean or by spread."""
    both, count = torch.cat([one, other], 1).cpu(), one.shape[1]
    both = both - both.mean(1, keepdim=True)
    scale = both.std(1, keepdim=True)
    if not bool((scale > 0).any()):
        return 1.0
    both = both / scale.clamp_min(1e-12)
    generator = torch.Generator().manual_seed(seed)
    splits = torch.rand(_SPLITS, 2 * count, generator=generator).argsort(1)
    splits[0] = torch.arange(2 * count)

    first, second = both[:, splits[:, :count]], both[:, splits[:, count:]]  # (n, splits, m)
    shifts = (first.mean(2) - second.mean(2)).square().sum(0)
    spreads = (first.std(2).clamp_min(1e-3).log() - second.std(2).clamp_min(1e-3).log()).square().sum(0)
    return min(float((found >= found[0] * (1 - 1e-9)).double().mean()) for found in (shifts, spreads))


def _has_modules_noise(defence: Defence) -> bool:
    """Other people's modules draw for whole batches: their noise does not follow an image into another one."""
    parts: tuple[Any, ...] = (defence.purifier, defence.classifier)
    return any(hasattr(part, "alone") and part.stochastic for part in parts)


def _in_one_call(defence: Defence) -> Defence:
    """An imported module that gets all images at once, whatever its noise does to them."""
    whole = defence.purifier
    if not isinstance(whole, WholeModule):
        return defence
    return replace(defence, purifier=replace(whole, nature=replace(whole.nature, alone=False)))


def _shares_noise(defence: Defence) -> bool:
    """Rows of a call have noise in common, so that several draws of an image need several calls."""
    return isinstance(defence.purifier, WholeModule) and defence.purifier.nature.alone


def _keys(subject: Subject, purpose: str) -> Keys:
    return Keys.of(seed=subject.protocol.seed, purpose=f"audit/context/{purpose}", samples=subject.samples)


def _plain(defence: Defence) -> Ask:
    def ask(images: Tensor, keys: Keys) -> Tensor:
        with torch.no_grad():
            return defence.draw(images, keys)[:, 0]

    return ask


def _ways(defence: Defence, subject: Subject) -> dict[str, Ask]:
    """Ways to ask about all images, by what is different."""
    plain = _plain(defence)

    def alone(images: Tensor, keys: Keys) -> Tensor:
        return torch.cat([plain(images[[row]], keys[[row]]) for row in range(len(images))])

    def backwards(images: Tensor, keys: Keys) -> Tensor:
        return plain(images.flip(0), keys[list(reversed(range(len(images))))]).flip(0)

    def among(images: Tensor, keys: Keys) -> Tensor:
        strangers = uniform(_keys(subject, "strangers"), "image", images.shape[1:]).to(images)
        twice = [row for row in range(len(images)) for _ in range(2)]
        return plain(torch.stack([strangers, images], 1).flatten(0, 1), keys[twice])[1::2]

    def repeated(images: Tensor, keys: Keys) -> Tensor:
        twice = [row for row in range(len(images)) for _ in range(2)]
        return plain(images.repeat_interleave(2, 0), keys[twice])[1::2]

    def with_gradient(images: Tensor, keys: Keys) -> Tensor:
        with torch.enable_grad():
            return defence.draw(images.detach().clone().requires_grad_(True), keys)[:, 0].detach()

    def switched_on(images: Tensor, keys: Keys) -> Tensor:
        with torch.enable_grad():
            return defence.draw(images.detach().clone(), keys)[:, 0].detach()

    ways: dict[str, Ask] = {
        "alone": alone,
        "in reverse order": backwards,
        "among noise": among,
        "twice in a batch": repeated,
        "with gradients switched on": switched_on,
    }
    return ways | ({"with a gradient asked for": with_gradient} if defence.differentiable else {})
