"""Ways to choose alphas: from what has been tried so far to what is tried next."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, Self

from mlvgm.errors import ConfigError
from mlvgm_robust.evaluation.defence import Defence
from mlvgm_robust.purifiers.has_alphas import HasAlphas

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class AdversarialSet:
    """Adversarial images on which alphas are judged, with what they were made from.

    Args:
        images: (N, C, H, W) float32 in [0, 1], misclassified when nothing is resampled.
        clean: (N, C, H, W) the images they were made from, rightly classified then.
        labels: (N,) int64.
        samples: sample id of each in its split; names its noise.
    """

    images: Tensor
    clean: Tensor
    labels: Tensor
    samples: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: Tensor | slice) -> Self:
        """Some of them: a slice or a boolean mask."""
        numbers = range(len(self))[index] if isinstance(index, slice) else index.nonzero().squeeze(1).tolist()
        samples = tuple(self.samples[i] for i in numbers)
        return replace(
            self, images=self.images[index], clean=self.clean[index], labels=self.labels[index], samples=samples
        )


@dataclass(frozen=True)
class Trial:
    """One evaluation of one vector.

    Args:
        alphas: in [0, 1], coarse → fine, before attenuation.
        objective: what is maximised.
        accuracy: of the defended model on the adversarial set.
        clean: the same on the images it was made from; None where it does not enter the objective.
        origin: where the vector comes from, in a word or two.
    """

    alphas: tuple[float, ...]
    objective: float
    accuracy: float
    clean: float | None = None
    origin: str = ""


@dataclass(frozen=True)
class Trace:
    """Everything that was tried, in order."""

    trials: tuple[Trial, ...] = ()

    def __len__(self) -> int:
        return len(self.trials)

    def best(self, count: int) -> tuple[Trial, ...]:
        """The ``count`` different vectors with the highest observed objective, the earlier first on ties."""
        first: dict[tuple[float, ...], Trial] = {}
        for trial in sorted(self.trials, key=lambda trial: -trial.objective):
            first.setdefault(trial.alphas, trial)
        return tuple(first.values())[:count]


@dataclass(frozen=True)
class AlphaProblem:
    """What alphas are chosen for.

    Args:
        defence: behind a purifier with a generator; its alphas are those of the latents replaced altogether
            (α_i = 1), so that they hold the attenuation.
        adversarial: images on which alphas are judged.
        seed: of everything random in the method.
    """

    defence: Defence
    adversarial: AdversarialSet
    seed: int = 0

    @property
    def latents(self) -> int:
        return len(purifier_of(self.defence).alphas)

    def with_alphas(self, alphas: Sequence[float]) -> Defence:
        """The defence with these alphas, attenuated as it attenuates."""
        return with_alphas(self.defence, alphas)


def purifier_of(defence: Defence) -> HasAlphas:
    """The purifier of a defence that resamples latents.

    Raises:
        ConfigError: it is of another kind.
    """
    purifier = defence.purifier
    if not isinstance(purifier, HasAlphas):
        raise ConfigError(
            f"alphas are chosen for a purifier with a generator, came {type(purifier).__name__}",
            hint="take --purifier mlvgm",
        )
    return purifier


def with_alphas(defence: Defence, alphas: Sequence[float]) -> Defence:
    """``defence``, whose alphas are those of α = 1, with others.

    Raises:
        ConfigError: it has no alphas, or another number of latents.
    """
    purifier = purifier_of(defence)
    if len(alphas) != len(purifier.alphas):
        raise ConfigError(f"{len(alphas)} alphas for a generator with {len(purifier.alphas)} latents")
    scaled = tuple(scale * alpha for scale, alpha in zip(purifier.alphas, alphas, strict=True))
    return replace(defence, purifier=purifier.with_alphas(scaled))


@dataclass(frozen=True)
class Proposal:
    """A vector to try next, and where it comes from."""

    alphas: tuple[float, ...]
    origin: str


Propose = Callable[[Sequence[Trial]], Proposal | None]


class AlphaMethod(Protocol):
    """Chooses what to try.

    Attributes:
        evaluations: most vectors it tries.
    """

    @property
    def evaluations(self) -> int: ...

    def __call__(self, problem: AlphaProblem) -> Propose:
        """A function from all trials so far to the next vector, or None at the end.

        It must depend on the trials and ``problem`` only, so that an interrupted search goes on as if nothing had
        happened. What it measures beforehand it measures in this call; the passes of the model it spends on that are
        told with :attr:`Measured.passes` if it returns a :class:`Measured`.
        """
        ...


@dataclass(frozen=True)
class Measured:
    """A proposing function that has measured the model first.

    Args:
        propose: from all trials so far to the next vector.
        passes: passes of generator and classifier it has spent, images × draws.
        findings: what it found, in plain values.
    """

    propose: Propose
    passes: int
    findings: dict[str, Any]

    def __call__(self, trials: Sequence[Trial]) -> Proposal | None:
        return self.propose(trials)
