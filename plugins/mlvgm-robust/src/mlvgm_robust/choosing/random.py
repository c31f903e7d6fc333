"""Random search: uniform vectors, the best of which is taken (arXiv 2412.03453, official code: "grid search")."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mlvgm.noise import Keys, uniform
from mlvgm_robust.alphas.method import AlphaProblem, Proposal, Propose, Trial
from mlvgm_robust.choosing.config import RandomConfig


@dataclass(frozen=True)
class Random:
    """Independent uniform vectors in [0, 1]^n; each depends on the seed and its number only.

    Args:
        evaluations: how many.
    """

    evaluations: int = 512

    def __call__(self, problem: AlphaProblem) -> Propose:
        def propose(trials: Sequence[Trial]) -> Proposal:
            keys = Keys.of(seed=problem.seed, purpose="alphas/random", samples=[len(trials)])
            return Proposal(tuple(uniform(keys, "alphas", (problem.latents,))[0].tolist()), "uniform")

        return propose


def build(config: RandomConfig) -> Random:
    """The method of ``config``."""
    return Random(config.evaluations)
