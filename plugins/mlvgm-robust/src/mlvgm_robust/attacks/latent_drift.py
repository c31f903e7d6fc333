"""Latent drift: as far away as the ball allows in the latents that the purifier keeps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlvgm.errors import InputError
from mlvgm.protocols.attack import AttackContext, AttackInfo, Norm
from mlvgm_robust.attacks.config import LatentDriftConfig
from mlvgm_robust.attacks.geometry import random_start
from mlvgm_robust.attacks.incumbents import Incumbents
from mlvgm_robust.attacks.latents import KeptLatents, steer

if TYPE_CHECKING:
    from torch import Tensor

    from mlvgm_robust.evaluation.target import Target


@dataclass(frozen=True)
class LatentDrift:
    """Maximises Σ_i (1 − α_i)² ‖z_i(x + δ) − z_i(x)‖² by projected gradient ascent, z_i being posterior means.

    What a purifier keeps is the only way an attack gets through it. The loss does not ask the classifier, so one whose
    gradients are useless does not stop it; candidates still compete on decisions.

    Args:
        norm: of the perturbation.
        eps: radius in units of [0, 1] pixels.
        iterations: gradient steps in one restart.
        restarts: random starts: at the image itself the gradient is 0.

    Example:
        >>> attack = LatentDrift(norm="Linf", eps=8 / 255)
        >>> candidates = attack(target, images, labels, context=context)   # doctest: +SKIP
    """

    norm: Norm = "L2"
    eps: float = 1.0
    iterations: int = 100
    restarts: int = 2

    @property
    def info(self) -> AttackInfo:
        return AttackInfo("latent-drift", self.norm, self.eps, needs_generator=True)

    def __call__(
        self, target: Target, images: Tensor, labels: Tensor, *, targets: Tensor | None = None, context: AttackContext
    ) -> Tensor:
        """Candidates; see :class:`mlvgm.protocols.attack.Attack`.

        Raises:
            ConfigError: the purifier has no generator, keeps nothing, or has no exact gradient.
            InputError: wanted classes are given, of which drift knows nothing.
        """
        kept = KeptLatents.of(target, context, name=self.info.name)
        if targets is not None:
            raise InputError("attack 'latent-drift' cannot aim at given classes", hint="take latent-target")
        incumbents = Incumbents.of(target, images, labels, targets=None, context=context)
        for restart in range(self.restarts):
            rows = incumbents.standing()
            if len(rows) == 0:
                break
            purpose = f"drift{restart}"
            goal = kept.mean(images[rows], context.keys[rows].derive(purpose))

            def start(rows: Tensor, name: str = f"start{restart}") -> Tensor:
                return random_start(images[rows], norm=self.norm, eps=self.eps, keys=context.keys[rows], name=name)

            steer(
                kept,
                incumbents,
                goal,
                rows,
                sign=1.0,
                start=start,
                images=images,
                norm=self.norm,
                eps=self.eps,
                iterations=self.iterations,
                purpose=purpose,
            )
        return incumbents.images


def build(config: LatentDriftConfig) -> LatentDrift:
    """The attack of ``config``."""
    return LatentDrift(**config.model_dump())
