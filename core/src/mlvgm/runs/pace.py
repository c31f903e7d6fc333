"""How far a run is and how long it will take: learnt from units that are done, by what each of them spends."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from mlvgm.pipelines.purify import RowResult, Unit
from mlvgm.target import Counts

_NEARLY = 0.99


@dataclass(frozen=True)
class Progress:
    """What is going on in a run.

    Args:
        todo: units of this process, in the order they are done.
        done: how many of them are done.
        message: what the attack says.
        counts: what it has spent on the unit at work; goes on counting.
        rows: figures of each defence under an attack whose last unit has just been done.
    """

    todo: Sequence[Unit]
    done: int
    message: str = ""
    counts: Counts = field(default_factory=Counts)
    rows: tuple[RowResult, ...] = ()


@dataclass
class _Kind:
    """What units of one defence under one attack have taken."""

    images: int = 0
    seconds: float = 0.0
    passes: int = 0


class Pace:
    """Time that is left, from the units done so far; a defence that has not begun is taken to be like the others.

    Args:
        clock: seconds.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kinds: dict[tuple[str, str], _Kind] = {}
        self.progress: Progress | None = None
        self._begun = clock()

    def see(self, progress: Progress) -> None:
        """Take note of how far the run is."""
        before, now = self.progress, self._clock()
        if before is not None and progress.done > before.done:
            unit = before.todo[before.done]
            kind = self._kinds.setdefault((unit.label, unit.attack), _Kind())
            kind.images += len(unit.samples)
            kind.seconds += now - self._begun
            kind.passes += before.counts.forwards + before.counts.backwards
        if before is None or progress.done > before.done:
            self._begun = now
        self.progress = progress

    @property
    def fraction(self) -> float:
        """Share of the unit at work that is done; 0 while nobody knows what such units spend."""
        progress = self.progress  # another thread may look while this one goes on
        if progress is None or progress.done >= len(progress.todo):
            return 0.0
        unit = progress.todo[progress.done]
        kind = self._kinds.get((unit.label, unit.attack))
        if kind is None or not kind.passes:
            return 0.0
        spent = progress.counts.forwards + progress.counts.backwards
        return min(spent / (kind.passes * len(unit.samples) / kind.images), _NEARLY)

    @property
    def left(self) -> float | None:
        """Seconds that are left; None while no unit is done."""
        progress = self.progress
        if progress is None or not self._kinds:
            return None
        remaining = progress.todo[progress.done :]
        if not remaining:
            return 0.0
        first, *others = (self._expected(unit) for unit in remaining)
        fraction, gone = self.fraction, self._clock() - self._begun
        return sum(others) + (first * (1 - fraction) if fraction else max(first - gone, 0.0))

    def _expected(self, unit: Unit) -> float:
        own = self._kinds.get((unit.label, unit.attack))
        alike = [kind for (_, attack), kind in self._kinds.items() if attack == unit.attack]
        known = [own] if own is not None else alike or list(self._kinds.values())
        return len(unit.samples) * sum(kind.seconds for kind in known) / sum(kind.images for kind in known)
