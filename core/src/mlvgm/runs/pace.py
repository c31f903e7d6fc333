"""How far a run is and how long it will take: learnt from units that are done, by what those alike have spent."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mlvgm.protocols.job import Unit

_NEARLY = 0.99


def no_effort() -> int:
    """For units that do not tell what they spend."""
    return 0


@dataclass(frozen=True)
class Progress:
    """What is going on in a run.

    Args:
        todo: units of this process, in the order they are done.
        done: how many of them are done.
        words: what the unit at work says.
        effort: what it has spent; goes on counting.
        news: what has become known with the last unit.
    """

    todo: Sequence[Unit]
    done: int
    words: str = ""
    effort: Callable[[], int] = no_effort
    news: str = ""


@dataclass
class _Alike:
    """What units alike have taken."""

    size: int = 0
    seconds: float = 0.0
    effort: int = 0


class Pace:
    """Time that is left, from the units done so far; units unlike all that are done are taken to be like the others.

    Args:
        clock: seconds.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: dict[str, _Alike] = {}
        self.progress: Progress | None = None
        self._begun = clock()

    def see(self, progress: Progress) -> None:
        """Take note of how far the run is."""
        before, now = self.progress, self._clock()
        if before is not None and progress.done > before.done:
            unit = before.todo[before.done]
            alike = self._known.setdefault(unit.like, _Alike())
            alike.size += unit.size
            alike.seconds += now - self._begun
            alike.effort += before.effort()
        if before is None or progress.done > before.done or progress.todo is not before.todo:
            self._begun = now
        self.progress = progress

    @property
    def fraction(self) -> float:
        """Share of the unit at work that is done; 0 while nobody knows what such units spend."""
        progress = self.progress  # another thread may look while this one goes on
        if progress is None or progress.done >= len(progress.todo):
            return 0.0
        unit = progress.todo[progress.done]
        alike = self._known.get(unit.like)
        if alike is None or not alike.effort:
            return 0.0
        return min(progress.effort() / (alike.effort * unit.size / alike.size), _NEARLY)

    @property
    def left(self) -> float | None:
        """Seconds that are left; None while no unit is done."""
        progress = self.progress
        if progress is None or not self._known:
            return None
        remaining = progress.todo[progress.done :]
        if not remaining:
            return 0.0
        first, *others = (self._expected(unit) for unit in remaining)
        fraction, gone = self.fraction, self._clock() - self._begun
        return sum(others) + (first * (1 - fraction) if fraction else max(first - gone, 0.0))

    def _expected(self, unit: Unit) -> float:
        own = self._known.get(unit.like)
        # "attack/defence" is like "attack/another defence" if nothing of its own is known.
        near = [alike for like, alike in self._known.items() if like.split("/")[0] == unit.like.split("/")[0]]
        known = [own] if own is not None else near or list(self._known.values())
        return unit.size * sum(alike.seconds for alike in known) / sum(alike.size for alike in known)
