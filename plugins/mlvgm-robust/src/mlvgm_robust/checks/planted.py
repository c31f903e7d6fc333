"""Defences in which an adversarial example provably exists."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from mlvgm.noise import Keys, normal
from mlvgm_robust.attacks.geometry import distance, per_image, project, steepest
from mlvgm_robust.attacks.losses import margin
from mlvgm_robust.audit.finding import NotRun
from mlvgm_robust.audit.subject import Subject
from mlvgm_robust.evaluation.defence import Backward, Defence
from mlvgm_robust.evaluation.target import Target

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class PlantedHead(Defence):
    """``inner``, deterministic, behind a new head of two classes for each image.

    Class 1 wins where the logits have moved from the image's own by more than a threshold along a direction.

    Args:
        inner: the defence.
        rows: row of each sample id in the tensors below.
        origins: (n, K) logits of the images.
        directions: (n, K) unit vectors.
        thresholds: (n,) how far is far enough.
        points: (n, C, H, W) the proof: one point of each ball that is class 1.
    """

    inner: Defence | None = None
    rows: tuple[int, ...] = ()
    origins: Tensor | None = None
    directions: Tensor | None = None
    thresholds: Tensor | None = None
    points: Tensor | None = None

    @property
    def classes(self) -> int:
        return 2

    @property
    def stochastic(self) -> bool:
        return False

    def draw(self, images: Tensor, keys: Keys, *, backward: Backward = "exact") -> Tensor:
        assert self.inner is not None and self.thresholds is not None
        assert self.origins is not None and self.directions is not None
        inner = self.inner if self.purifier is not None else replace(self.inner, purifier=None)
        draws = len(keys) // max(len(images), 1)
        samples = [sample for sample, _ in keys.rows[::draws]]
        if not set(samples) <= set(self.rows):
            raise NotRun("the attack does not say which images it works on")
        index = torch.tensor([self.rows.index(sample) for sample in samples], device=images.device)
        logits = inner.draw(images, keys, backward=backward)
        moved = ((logits - self.origins[index, None]) * self.directions[index, None]).sum(2)
        threshold = self.thresholds[index, None]
        score = 4 * (moved / threshold - 1)
        return torch.stack([torch.zeros_like(score), score], 2)


def plant(subject: Subject, inner: Defence, *, share: float, steps: int) -> PlantedHead:
    """The planted defence of a subject's images around a deterministic ``inner``.

    For each image, points of the ball are found by a plain ascent of the margin, through the exact gradient and past
    the purifier (BPDA), and at random. The one that moves the logits furthest gives the direction; the threshold is
    ``share`` of how far it moves them, so that point is adversarial, and the image itself is not.

    Args:
        subject: gives images, labels, sample ids, norm and radius.
        inner: deterministic.
        share: of the known movement that is enough.
        steps: of the ascents.
    """
    images, protocol = subject.images, subject.protocol

    def target(gradient: Backward) -> Target:
        return Target(
            inner,
            samples=subject.samples,
            seed=protocol.seed,
            purpose="audit/plant",
            memory=protocol.memory,
            gradient=gradient,
        )

    def logits(points: Tensor) -> Tensor:
        with torch.no_grad():
            first: Tensor = target("exact")(points, draws=1)[:, 0]
            return first

    known = [_random_corner(subject, number) for number in range(4)]
    for kind in ("exact", "bpda"):
        try:
            known.append(_ascend(subject, target(kind), steps))
        except Exception:  # no such gradient; the other points are known all the same
            continue
    origins = logits(images)
    moves = torch.stack([logits(points) - origins for points in known])
    length, best = moves.norm(dim=2).max(0)
    rows = torch.arange(len(images), device=images.device)
    directions = moves[best, rows] / length.clamp_min(1e-12)[:, None]
    return PlantedHead(
        inner.classifier,
        inner.purifier,
        inner=inner,
        rows=tuple(subject.samples),
        origins=origins,
        directions=directions,
        thresholds=(share * length).clamp_min(1e-12),
        points=torch.stack(known)[best, rows],
    )


def _random_corner(subject: Subject, number: int) -> Tensor:
    keys = Keys.of(seed=subject.protocol.seed, purpose="audit/plant", samples=subject.samples)
    direction = normal(keys, f"corner{number}", subject.images.shape[1:]).to(subject.images)
    direction = direction.sign() if subject.norm == "Linf" else direction
    scaled = subject.eps * direction / per_image(distance(direction, subject.norm))
    return project(subject.images + scaled, subject.images, norm=subject.norm, eps=subject.eps)


def _ascend(subject: Subject, target: Target, steps: int) -> Tensor:
    point, norm, eps = subject.images, subject.norm, subject.eps
    for step in range(steps):
        _, gradient, _ = target.gradient(point, margin, subject.labels, draws=1)
        size = 2.5 * eps / steps * (1 if step < steps // 2 else 0.4)
        point = project(point + size * steepest(gradient, norm), subject.images, norm=norm, eps=eps)
    return point
