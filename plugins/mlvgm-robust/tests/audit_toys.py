"""A small evaluation to audit: two classes by the mean pixel, and an attack that brightens."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from mlvgm.protocols.attack import AttackInfo
from mlvgm_robust.audit.subject import Subject
from mlvgm_robust.evaluation.defence import Defence
from mlvgm_robust.evaluation.harness import Protocol


@dataclass(frozen=True)
class Halves:
    """Two classes by the mean pixel."""

    classes: int = 2

    def to(self, device: Any) -> Halves:
        return self

    def __call__(self, images: Tensor) -> Tensor:
        mean = images.flatten(1).mean(1)
        return torch.stack([0.5 - mean, mean - 0.5], 1)


@dataclass(frozen=True)
class Push:
    """Adds ``eps`` to every pixel; counts its calls."""

    eps: float = 0.3
    steps: int = 1
    calls: list[int] = field(default_factory=list)

    @property
    def info(self) -> AttackInfo:
        return AttackInfo("push", "Linf", self.eps)

    def __call__(self, target: Any, images: Tensor, labels: Tensor, **options: Any) -> Tensor:
        self.calls.append(len(images))
        target.gradient(images, lambda logits, labels: logits[:, 1], labels)
        return (images + self.eps).clamp(0, 1)


def evaluation(attack: Push | None = None, count: int = 6) -> Subject:
    images = torch.linspace(0, 0.45, count)[:, None, None, None].expand(-1, 1, 2, 2).contiguous()
    labels = torch.zeros(count, dtype=torch.long)
    return Subject.of(Defence(Halves()), attack or Push(), images, labels, protocol=Protocol(eot=1))
