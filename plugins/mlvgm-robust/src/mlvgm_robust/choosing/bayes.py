"""Bayesian optimisation of alphas (arXiv 2412.03453): a Gaussian process and expected improvement."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import optuna

from mlvgm_robust.alphas.method import AlphaProblem, Proposal, Propose, Trial
from mlvgm_robust.choosing.config import BayesConfig
from mlvgm_robust.purifiers import schedules


def starting_points(count: int) -> tuple[Proposal, ...]:
    """The five published ones: cosine, linear, constant ½, and linear and cosine turned round (1 − α_i).

    >>> [point.origin for point in starting_points(2)]
    ['cosine', 'linear', 'constant 0.5', 'reversed linear', 'reversed cosine']
    """
    cosine, linear = schedules.cosine(count), schedules.linear(count)
    return (
        Proposal(cosine, "cosine"),
        Proposal(linear, "linear"),
        Proposal(schedules.constant(count, 0.5), "constant 0.5"),
        Proposal(tuple(1 - alpha for alpha in linear), "reversed linear"),
        Proposal(tuple(1 - alpha for alpha in cosine), "reversed cosine"),
    )


@dataclass(frozen=True)
class Bayes:
    """The five published starting points, then steps of optuna's ``GPSampler``.

    Published were BoTorch's ``SingleTaskGP`` and analytic expected improvement; optuna has the same kind of surrogate
    (Matérn 5/2 with one length scale for each latent, observation noise fitted) and maximises log expected improvement.
    The surrogate is fitted anew to all trials at each step, so a step depends on the trials, the seed and its number.

    Args:
        evaluations: how many vectors, the starting points included.
    """

    evaluations: int = 100

    def __call__(self, problem: AlphaProblem) -> Propose:
        start = starting_points(problem.latents)
        axes: dict[str, optuna.distributions.BaseDistribution] = {
            f"alpha{i}": optuna.distributions.FloatDistribution(0.0, 1.0) for i in range(problem.latents)
        }

        def propose(trials: Sequence[Trial]) -> Proposal:
            if len(trials) < len(start):
                return start[len(trials)]
            with _quiet():
                seed = hashlib.blake2b(f"{problem.seed}|{len(trials)}".encode(), digest_size=4).digest()
                sampler = optuna.samplers.GPSampler(
                    seed=int.from_bytes(seed, "little"), n_startup_trials=len(start), deterministic_objective=False
                )
                study = optuna.create_study(direction="maximize", sampler=sampler)
                study.add_trials(
                    [
                        optuna.trial.create_trial(
                            params=dict(zip(axes, trial.alphas, strict=True)),
                            distributions=axes,
                            value=trial.objective,
                        )
                        for trial in trials
                    ]
                )
                asked = study.ask(fixed_distributions=axes).params
            return Proposal(tuple(asked[axis] for axis in axes), "surrogate")

        return propose


@contextmanager
def _quiet() -> Iterator[None]:
    """optuna tells of each study on stderr; its level is set back afterwards."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)


def build(config: BayesConfig) -> Bayes:
    """The method of ``config``."""
    return Bayes(config.evaluations)
