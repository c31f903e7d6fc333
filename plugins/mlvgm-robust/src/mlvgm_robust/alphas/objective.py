"""Choosing alphas: an objective with common random numbers, a resumable search, a choice that luck cannot buy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from torch import Tensor

from mlvgm.noise import Keys
from mlvgm_robust.alphas.method import AlphaProblem, Propose, Trace, Trial, purifier_of, with_alphas
from mlvgm_robust.evaluation.defence import Defence

Choice = Literal["fresh", "published"]
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Encoded:
    """A purifier whose images are encoded and whose noise is drawn already; only the blend is left to do."""

    purifier: Any
    encoding: Any
    drawn: Any

    @property
    def stochastic(self) -> bool:
        return bool(self.purifier.stochastic)

    @property
    def differentiable(self) -> bool:
        return False

    def to(self, device: torch.device | str) -> Encoded:
        return self

    def noise(self, keys: Keys) -> Any:
        return self.drawn[:: len(self.drawn) // len(keys)]

    def purify(self, images: Tensor, noise: Any) -> Tensor:
        purified: Tensor = self.purifier.generator.blend(self.encoding, noise.latents, self.purifier.alphas).images
        return purified


@dataclass(frozen=True)
class Decisions:
    """Decisions of a defence about fixed images as a function of alphas, always on the same noise.

    Neither encodings nor noise depend on alphas, so both are computed once; an evaluation is only the blend and the
    classifier. The same noise for every vector also means that two vectors differ less by luck than they would.

    Args:
        defence: whose alphas are those of α = 1.
        images: (N, C, H, W).
        labels: (N,).
        samples: sample id of each image.
        seed: of the noise.
        purpose: stream of the noise.
        memory: most images × draws in one pass.
        keep: most images × draws whose encodings and noise stay in memory; beyond, they are computed each time.
    """

    defence: Defence
    images: Tensor
    labels: Tensor
    samples: tuple[int, ...]
    seed: int = 0
    purpose: str = "objective"
    memory: int = 512
    keep: int = 8192
    _kept: dict[int, tuple[Any, Any, Keys]] = field(default_factory=dict, repr=False, compare=False)

    def __call__(self, alphas: Sequence[float]) -> Tensor:
        """Whether each decision of the defence with ``alphas`` is right, (N,) bool."""
        defence = with_alphas(self.defence, alphas)
        size = max(1, self.memory // defence.votes)
        right = []
        with torch.no_grad():
            for start in range(0, len(self.labels), size):
                encoding, drawn, keys = self._block(start, size)
                prepared = replace(defence, purifier=Encoded(defence.purifier, encoding, drawn))
                logits = prepared.draw(self.images[start : start + size], keys)
                right.append(defence.vote(logits).argmax(1) == self.labels[start : start + size])
        return torch.cat(right)

    def _block(self, start: int, size: int) -> tuple[Any, Any, Keys]:
        if start in self._kept:
            return self._kept[start]
        purifier = purifier_of(self.defence)
        samples = self.samples[start : start + size]
        keys = Keys.of(seed=self.seed, purpose=self.purpose, samples=samples, draws=range(self.defence.votes))
        drawn = purifier.noise(keys)
        block = purifier.encode(self.images[start : start + size], drawn), drawn, keys
        if len(self.labels) * self.defence.votes <= self.keep:
            self._kept[start] = block
        return block


@dataclass(frozen=True)
class Objective:
    """What is maximised: accuracy on the adversarial set (published), or a mean of it and clean accuracy.

    Args:
        adversarial: decisions about the adversarial images.
        clean: decisions about the images they were made from.
        weight: of the clean accuracy, in [0, 1]; 0 as published, and then it is not computed.
    """

    adversarial: Decisions
    clean: Decisions
    weight: float = 0.0

    @classmethod
    def of(cls, problem: AlphaProblem, *, purpose: str, weight: float = 0.0, memory: int = 512) -> Objective:
        """The objective of ``problem`` on the noise of ``purpose``."""
        given = problem.adversarial
        adversarial, clean = (
            Decisions(
                problem.defence, images, given.labels, given.samples, seed=problem.seed, purpose=name, memory=memory
            )
            for images, name in ((given.images, purpose), (given.clean, f"{purpose}/clean"))
        )
        return cls(adversarial, clean, weight)

    def __call__(self, alphas: Sequence[float], *, origin: str) -> Trial:
        accuracy = float(self.adversarial(alphas).double().mean())
        clean = float(self.clean(alphas).double().mean()) if self.weight else None
        objective = accuracy if clean is None else (1 - self.weight) * accuracy + self.weight * clean
        return Trial(tuple(float(alpha) for alpha in alphas), objective, accuracy, clean, origin)


def search(
    propose: Propose,
    objective: Callable[..., Trial],
    *,
    evaluations: int,
    trials: Sequence[Trial] = (),
    record: Callable[[Trial], None] = lambda trial: None,
    progress: Progress = lambda done, total, message: None,
) -> Trace:
    """Try what a method proposes, going on from ``trials``.

    Args:
        propose: the method's function from trials to the next vector.
        objective: ``objective(alphas, origin=…) -> Trial``.
        evaluations: most trials.
        trials: those of an interrupted search.
        record: called with each new trial as soon as it is evaluated.
        progress: called with (trials, evaluations, message).
    """
    done = list(trials)
    while len(done) < evaluations:
        best = max((trial.objective for trial in done), default=0.0)
        progress(len(done), evaluations, f"best so far {best:.3f}")
        proposal = propose(done)
        if proposal is None:
            break
        trial = objective(proposal.alphas, origin=proposal.origin)
        record(trial)
        done.append(trial)
    return Trace(tuple(done))


@dataclass(frozen=True)
class Chosen:
    """What a search ends with.

    Args:
        alphas: the choice.
        origin: where it came from.
        observed: its objective during the search.
        fresh: its objective on fresh draws; None for the published choice.
        candidates: the leading vectors with their objective on fresh draws, if they were judged again.
    """

    alphas: tuple[float, ...]
    origin: str
    observed: float
    fresh: float | None
    candidates: tuple[Trial, ...] = ()


def choose(
    trace: Trace,
    fresh: Callable[..., Trial],
    *,
    choice: Choice = "fresh",
    top: int = 5,
    recorded: Sequence[Trial] = (),
    record: Callable[[Trial], None] = lambda trial: None,
) -> Chosen:
    """The vector to use.

    The highest of many noisy observations is high partly by luck. So the leading vectors are judged again on draws that
    did not make them lead, and the best of those is taken; the earlier leader on ties.

    Args:
        trace: all trials.
        fresh: an objective on other draws.
        choice: ``published`` takes the highest observation as it is.
        top: how many vectors are judged again.
        recorded: outcomes of ``fresh`` from an interrupted choice, in order.
        record: called with each new outcome.
    """
    leaders = trace.best(1 if choice == "published" else top)
    if choice == "published":
        return Chosen(leaders[0].alphas, leaders[0].origin, leaders[0].objective, None)
    again = list(recorded[: len(leaders)])
    for leader in leaders[len(again) :]:
        again.append(fresh(leader.alphas, origin=leader.origin))
        record(again[-1])
    number = max(range(len(leaders)), key=lambda i: (again[i].objective, -i))
    return Chosen(
        leaders[number].alphas, leaders[number].origin, leaders[number].objective, again[number].objective, tuple(again)
    )
