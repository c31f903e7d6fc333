"""Attacks on what a purifier keeps: the latents it does not replace, and ascent on their distance to a goal."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import torch

from mlvgm.errors import ConfigError
from mlvgm.noise import Keys
from mlvgm.protocols.attack import Norm
from mlvgm_robust.attacks.geometry import per_image, project, steepest
from mlvgm_robust.attacks.incumbents import Incumbents
from mlvgm_robust.purifiers.has_alphas import HasAlphas

if TYPE_CHECKING:
    from torch import Tensor

    from mlvgm.protocols.attack import AttackContext
    from mlvgm_robust.evaluation.target import Target

_OFFERS = 4


@dataclass(frozen=True)
class KeptLatents:
    """What a purifier keeps of an image: (1 − α_i) times the posterior mean of each latent, all in one row.

    Means are those of the encoder's own top-down pass (α = 0), after the purifier's blur and image noise. Latents that
    are replaced altogether (α = 1) are left out.

    Args:
        target: whose purifier is looked into; passes of its generator count as the target's.
        purifier: that purifier.
        draws: draws of the image noise in each estimate.
    """

    target: Target
    purifier: Any
    draws: int

    @classmethod
    def of(cls, target: Target, context: AttackContext, *, name: str) -> Self:
        """The kept latents of the target's purifier.

        Raises:
            ConfigError: the purifier has no generator, keeps nothing, or has no exact gradient.
        """
        purifier = target.defence.purifier
        if not isinstance(purifier, HasAlphas):
            raise ConfigError(
                f"attack '{name}' needs a purifier with a generator, came {type(purifier).__name__}",
                hint="take --purifier mlvgm with --set compare=false, or another attack",
            )
        if target.backward != "exact":
            raise ConfigError(
                f"attack '{name}' needs the encoder's exact gradient, the target has {target.backward}",
                hint="take a generator with an encoder of its own, or another attack",
            )
        if all(alpha == 1 for alpha in purifier.alphas):
            raise ConfigError(f"attack '{name}': the purifier keeps no latent, all its alphas are 1")
        return cls(target, purifier, context.eot)

    def __call__(self, images: Tensor, keys: Keys) -> Tensor:
        """Kept latents of ``images`` (B, C, H, W), (B·k, D) with k = ``draws`` under image noise and 1 without.

        Args:
            images: in [0, 1].
            keys: B rows; different draws are further draws of the same streams.
        """
        rows = tuple((sample, draw * self.draws + j) for sample, draw in keys.rows for j in range(self.draws))
        noise = self.purifier.noise(Keys(keys.seed, keys.purpose, rows))
        encoding = self.purifier.encode(images, noise)
        self.target.counts.forwards += len(encoding)
        alphas = self.purifier.alphas
        # With α = 0 the noise matters for nuisances only.
        source = noise.latents[:: len(noise) // len(encoding)]
        values = self.purifier.generator.blend(encoding, source, (0.0,) * len(alphas)).latents.values
        kept = [(1 - alpha) * value.flatten(1) for alpha, value in zip(alphas, values, strict=True) if alpha < 1]
        return torch.cat([value.expand(len(encoding), -1) for value in kept], 1)

    def mean(self, images: Tensor, keys: Keys) -> Tensor:
        """Kept latents of ``images``, the mean over draws, (B, D)."""
        with torch.no_grad():
            parts = [
                self(images[rows], keys[rows]).unflatten(0, (len(images[rows]), -1)).mean(1)
                for rows in self._blocks(len(images))
            ]
        return torch.cat(parts)

    def gradient(self, images: Tensor, goal: Tensor, keys: Keys) -> tuple[Tensor, Tensor]:
        """Squared distance (B,) of the kept latents to ``goal`` (B, D), the mean over draws, and its gradient."""
        values, slopes = [], []
        for rows in self._blocks(len(images)):
            part = images[rows].detach().requires_grad_(True)
            with torch.enable_grad():
                found = self(part, keys[rows]).unflatten(0, (len(part), -1))
                value = (found - goal[rows, None]).square().sum(2).mean(1)
                slopes.append(torch.autograd.grad(value.sum(), part)[0])
            self.target.counts.backwards += found.shape[0] * found.shape[1]
            values.append(value.detach())
        return torch.cat(values), torch.cat(slopes)

    def _blocks(self, count: int) -> list[slice]:
        size = max(1, self.target.memory // self.draws)
        return [slice(i, i + size) for i in range(0, count, size)]


def steer(
    kept: KeptLatents,
    incumbents: Incumbents,
    goal: Tensor,
    rows: Tensor,
    *,
    sign: float,
    start: Callable[[Tensor], Tensor],
    images: Tensor,
    norm: Norm,
    eps: float,
    iterations: int,
    purpose: str,
) -> None:
    """Steps that shorten as a cosine and move the kept latents away from ``goal`` (sign +1) or towards it (−1).

    The best point so far competes on selection draws four times on the way, and with the last point at the end:
    distance in latents is a means, only the decision counts.

    Args:
        kept: the latents.
        incumbents: where candidates compete.
        goal: (b, D) kept latents.
        rows: (b,) rows of the images worked on.
        sign: +1 or −1.
        start: ``start(rows) -> (b, C, H, W)`` first points in the ball.
        images: (B, C, H, W) the clean images.
        norm: of the ball.
        eps: its radius.
        iterations: steps; the first is eps / 2 long.
        purpose: of the image noise.
    """
    own = incumbents.context.keys.derive(purpose)
    centre, point = images[rows], start(rows)
    best, largest = point, torch.full_like(point[:, 0, 0, 0], -torch.inf)
    for iteration in range(iterations):
        keys = own[rows]
        keys = Keys(keys.seed, keys.purpose, tuple((sample, draw + iteration + 1) for sample, draw in keys.rows))
        value, slope = kept.gradient(point, goal, keys)
        better = sign * value > largest
        best, largest = torch.where(per_image(better), point, best), torch.where(better, sign * value, largest)
        length = eps * (1 + math.cos(math.pi * iteration / iterations)) / 4
        point = project(point + length * steepest(sign * slope, norm), centre, norm=norm, eps=eps)
        if (iteration + 1) % max(1, iterations // _OFFERS) == 0:
            incumbents.offer(best, rows)
            incumbents.offer(point, rows)
            left = ~incumbents.broken[rows]
            rows, centre, goal, point = rows[left], centre[left], goal[left], point[left]
            best, largest = best[left], largest[left]
            if len(rows) == 0:
                return
    incumbents.offer(point, rows)
