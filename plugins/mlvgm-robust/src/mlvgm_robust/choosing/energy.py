"""Alphas from how much of the attack each latent carries, against how much the decision needs the latent."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from mlvgm.noise import Keys
from mlvgm_robust.alphas.method import AlphaProblem, Measured, Proposal, Propose, Trial, purifier_of
from mlvgm_robust.choosing.config import EnergyConfig

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class LatentEffects:
    """What single latents do to the margin z_y − max_{j≠y} z_j, means over images.

    Args:
        harm: (n,) margin regained by undoing the attack in latent i alone: its value is taken from the image before
            the attack.
        use: (n,) margin lost on images before the attack when latent i alone is drawn from its prior.
    """

    harm: Tensor
    use: Tensor

    @property
    def order(self) -> tuple[int, ...]:
        """Latents by falling ratio of harm to use; to first order, those above 1 are better replaced than kept."""
        floor = 1e-3 * float(self.harm.abs().max().clamp_min(1e-12))
        ratio = self.harm.clamp_min(0) / self.use.clamp_min(floor)
        # Without harm the ratio is 0 for all, and the least used goes first.
        return tuple(sorted(range(len(ratio)), key=lambda i: (-float(ratio[i]), float(self.use[i]))))


def measure(problem: AlphaProblem, *, images: int) -> tuple[LatentEffects, int]:
    """The effects of single latents, and the passes spent: 2n + 2 an image."""
    defence, given = problem.defence, problem.adversarial[:images]
    purifier = purifier_of(defence)
    keys = Keys.of(seed=problem.seed, purpose="alphas/energy", samples=given.samples)
    drawn = purifier.noise(keys)
    nothing = [0.0] * problem.latents

    def margin(encoding: Any, source: Any, alphas: Sequence[float]) -> Tensor:
        purified = purifier.generator.blend(encoding, source, alphas).images
        logits = defence.classify(defence.clamped(purified), keys)
        rows = torch.arange(len(logits), device=logits.device)
        rival = logits.index_put((rows, given.labels), torch.tensor(-math.inf, device=logits.device)).amax(1)
        return (logits[rows, given.labels] - rival).double().mean()

    with torch.no_grad():
        before, after = purifier.encode(given.clean, drawn), purifier.encode(given.images, drawn)
        unharmed, harmed = margin(before, drawn.latents, nothing), margin(after, drawn.latents, nothing)
        alone = [[float(i == latent) for i in range(problem.latents)] for latent in range(problem.latents)]
        harm = torch.stack([margin(after, before, alphas) - harmed for alphas in alone])
        use = torch.stack([unharmed - margin(before, drawn.latents, alphas) for alphas in alone])
    return LatentEffects(harm.cpu(), use.cpu()), len(given) * (2 * problem.latents + 2)


def family(order: Sequence[int], level: float) -> tuple[float, ...]:
    """α_i = clip(level − place of latent i in ``order``, 0, 1): level 0 keeps all, level n replaces all.

    >>> family([2, 0, 1], 1.5)
    (0.5, 0.0, 1.0)
    """
    alphas = [0.0] * len(order)
    for place, latent in enumerate(order):
        alphas[latent] = min(1.0, max(0.0, level - place))
    return tuple(alphas)


@dataclass(frozen=True)
class Energy:
    """A search along one line: latents are replaced in the order of the harm they carry for each bit they are used.

    Two measurements of each latent, on single draws, order the latents. The family :func:`family` is then tried at
    evenly spaced levels from 0 (α = 0, nothing replaced) to n − 1, and last half a spacing beside the best of them.

    Args:
        evaluations: how many vectors.
        images: most images measured.
    """

    evaluations: int = 10
    images: int = 64

    def __call__(self, problem: AlphaProblem) -> Measured:
        effects, passes = measure(problem, images=self.images)
        findings = {
            "harm": [round(value, 6) for value in effects.harm.tolist()],
            "use": [round(value, 6) for value in effects.use.tolist()],
            "order": list(effects.order),
        }
        return Measured(self._propose(effects.order), passes, findings)

    def _propose(self, order: tuple[int, ...]) -> Propose:
        last = max(1, len(order) - 1)
        steps = min(max(1, self.evaluations - 3), last)
        spacing = last / steps
        levels = [number * spacing for number in range(steps + 1)]

        def propose(trials: Sequence[Trial]) -> Proposal | None:
            if len(trials) < len(levels):
                level = levels[len(trials)]
            elif len(trials) < len(levels) + 2:
                best = max(range(len(levels)), key=lambda i: (trials[i].objective, -i))
                side = 1 if len(trials) == len(levels) else -1
                level = min(max(levels[best] + side * spacing / 2, 0.0), float(len(order)))
            else:
                return None
            return Proposal(family(order, level), f"level {level:g}")

        return propose


def build(config: EnergyConfig) -> Energy:
    """The method of ``config``."""
    return Energy(config.evaluations, config.images)
