"""How far a command is: a bar on a terminal, elsewhere a line now and then; on stderr."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from mlvgm.cli.layout import width_of

# Without a terminal: the first line after so many seconds, each later one after twice as many, up to the longest.
FIRST, LONGEST = 10.0, 60.0
_BEAT = 0.5


class Update(Protocol):
    """Says how far a command is."""

    def __call__(self, done: float, total: int, message: str, *, left: float | None = None) -> None:
        """``done`` of ``total`` steps, and the seconds left where the command knows better than by their number."""
        ...


class _State:
    """How far it is, in words."""

    def __init__(self, title: str) -> None:
        self.title, self.started = title, time.monotonic()
        self.done, self.total, self.message = 0.0, 0, ""
        self._left: float | None = None
        self._first: float | None = None

    def update(self, done: float, total: int, message: str, *, left: float | None = None) -> None:
        if self._first is None:
            self._first = done
        self.done, self.total, self.message, self._left = done, total, message, left

    def times(self) -> str:
        """Time gone, and time left where it can be told."""
        gone = time.monotonic() - self.started
        left = self._left
        if left is None and self._first is not None and self.done > self._first:
            left = gone * (self.total - self.done) / (self.done - self._first)
        return in_words(gone) + ("" if left is None else f", about {in_words(left)} left")

    def line(self) -> str:
        steps = f": {int(self.done)} of {self.total}" if self.total else ""
        return f"{self.title}{steps} after {self.times()}" + (f"; {self.message}" if self.message else "")


def in_words(seconds: float) -> str:
    """A duration, as precise as one wants to read it.

    >>> in_words(7.4), in_words(95), in_words(7380)
    ('7 s', '2 min', '2 h 3 min')
    """
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


@contextmanager
def progress_bar(title: str, *, shown: bool = True, look: Callable[[], None] | None = None) -> Iterator[Update]:
    """Show how far a command is while inside; gives ``update(done, total, message)``.

    Args:
        title: what it does.
        shown: else nothing is said.
        look: called twice a second, to update what moves between updates.
    """
    state = _State(title)
    if not shown:
        yield state.update
        return
    with _bar(state) if sys.stderr.isatty() else _lines(state) as show, _beating(look, show):
        yield state.update


@contextmanager
def _beating(look: Callable[[], None] | None, show: Callable[[], None]) -> Iterator[None]:
    over = threading.Event()

    def beat() -> None:
        while not over.wait(_BEAT):
            if look is not None:
                look()
            show()

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextmanager
def _lines(state: _State) -> Iterator[Callable[[], None]]:
    waited, last = FIRST, state.started

    def show() -> None:
        nonlocal waited, last
        now = time.monotonic()
        if now - last >= waited and state.total:
            print(state.line(), file=sys.stderr, flush=True)
            waited, last = min(2 * waited, LONGEST), now

    yield show


@contextmanager
def _bar(state: _State) -> Iterator[Callable[[], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn
    from rich.table import Column

    message = TextColumn("{task.fields[message]}", table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1))
    columns: tuple[Any, ...] = (TextColumn("{task.description}"), BarColumn(bar_width=16), message)
    console = Console(stderr=True, width=width_of(sys.stderr))
    with Progress(*columns, console=console, expand=True, transient=True) as progress:
        task = progress.add_task(state.title, total=None, message="")

        def show() -> None:
            steps = f"{int(state.done)}/{state.total} " if state.total else ""
            words = f"{steps}{state.times()}  {state.message}"
            progress.update(task, completed=state.done, total=state.total or None, message=words)

        yield show
