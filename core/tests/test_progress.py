"""How far a run is: within a unit, the time that is left, and rows as soon as they are whole."""

from __future__ import annotations

import re
from typing import Any

import pytest

from mlvgm.cli import progress as shown
from mlvgm.cli.progress import progress_bar
from mlvgm.protocols.job import Unit
from mlvgm.runs.pace import Pace, Progress

TODO = [
    Unit(f"{label}-{start}", like=f"pgd/{label}", size=min(16, 40 - start))
    for label in ("mlvgm", "none")
    for start in (0, 16, 32)
]


class Counts:
    effort = 0

    def __call__(self) -> int:
        return self.effort


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_time_left_is_what_units_of_a_kind_have_taken() -> None:
    clock = Clock()
    pace = Pace(clock=clock)
    counts = [Counts() for _ in range(7)]
    assert pace.left is None and pace.fraction == 0
    pace.see(Progress(TODO, 0, effort=counts[0]))
    clock.now = 4.0
    counts[0].effort = 200
    assert pace.left is None and pace.fraction == 0  # nobody knows yet
    clock.now = 8.0
    pace.see(Progress(TODO, 1, effort=counts[1]))
    # 8 s for 16 images; 24 of this defence and 40 of one not begun are left
    assert pace.left == pytest.approx(0.5 * 64)
    counts[1].effort = 100
    assert pace.fraction == pytest.approx(0.5) and pace.left == pytest.approx(0.5 * 56)
    clock.now = 16.0
    pace.see(Progress(TODO, 2, effort=counts[2]))
    assert pace.left == pytest.approx(0.5 * 48)
    clock.now = 20.0
    pace.see(Progress(TODO, 3, effort=counts[3]))
    clock.now, counts[3].effort = 21.0, 160
    pace.see(Progress(TODO, 4, effort=counts[4]))
    assert pace.left == pytest.approx((16 + 8) / 16)  # of the fast defence, by its own pace
    counts[4].effort = 10**9
    assert 0 < pace.fraction < 1
    pace.see(Progress(TODO, 6))
    assert pace.left == 0 and pace.fraction == 0


def test_a_unit_that_says_nothing_of_its_passes_counts_by_time() -> None:
    clock = Clock()
    pace = Pace(clock=clock)
    for done, now in ((0, 0.0), (1, 8.0)):
        clock.now = now
        pace.see(Progress(TODO[:2], done))
    clock.now = 11.0
    assert pace.fraction == 0 and pace.left == pytest.approx(5.0)
    clock.now = 30.0
    assert pace.left == 0  # later than it should be, and not below zero


def test_without_a_terminal_there_is_a_line_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def lines(**options: Any) -> list[str]:
        with progress_bar("attacking", **options) as update:
            update(0, 4, "first")
            update(1, 4, "second", left=90.0)
            shown.time.sleep(0.05)
        return capfd.readouterr().err.splitlines()

    monkeypatch.setattr(shown, "_BEAT", 0.001)
    assert lines() == []  # not so soon
    monkeypatch.setattr(shown, "FIRST", 0.0)
    said = lines()
    assert said and all(re.fullmatch(r"attacking: 1 of 4 after 0 s, about 2 min left; second", line) for line in said)
    looked: list[int] = []
    lines(look=lambda: looked.append(1))
    assert looked
    assert lines(shown=False) == []


def test_the_time_left_counts_what_was_done_here(monkeypatch: pytest.MonkeyPatch) -> None:
    state = shown._State("training")
    state.update(60, 100, "")
    assert "left" not in state.times()  # what an earlier training has done says nothing
    state.started -= 10
    state.update(80, 100, "")
    assert state.times() == "10 s, about 10 s left"
