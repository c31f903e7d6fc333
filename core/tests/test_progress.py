"""How far a run is: within a unit, the time that is left, and rows as soon as they are whole."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from mlvgm.cli import progress as shown
from mlvgm.cli.progress import progress_bar
from mlvgm.pipelines.purify import units
from mlvgm.runs.pace import Pace, Progress
from mlvgm.runs.results import finished_units, results, row_results
from mlvgm.target import Counts
from toy_study import do, toy_config, toy_run

TODO = units({"pgd": ["mlvgm", "none"]}, range(40), block=16)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_time_left_is_what_units_of_a_kind_have_taken() -> None:
    clock = Clock()
    pace = Pace(clock=clock)
    counts = [Counts() for _ in range(7)]
    assert pace.left is None and pace.fraction == 0
    pace.see(Progress(TODO, 0, counts=counts[0]))
    clock.now = 4.0
    counts[0].forwards, counts[0].backwards = 150, 50
    assert pace.left is None and pace.fraction == 0  # nobody knows yet
    clock.now = 8.0
    pace.see(Progress(TODO, 1, counts=counts[1]))
    # 8 s for 16 images; 24 of this defence and 40 of one not begun are left
    assert pace.left == pytest.approx(0.5 * 64)
    counts[1].forwards, counts[1].backwards = 75, 25
    assert pace.fraction == pytest.approx(0.5) and pace.left == pytest.approx(0.5 * 56)
    clock.now = 16.0
    pace.see(Progress(TODO, 2, counts=counts[2]))
    assert pace.left == pytest.approx(0.5 * 48)
    clock.now = 20.0
    pace.see(Progress(TODO, 3, counts=counts[3]))
    clock.now, counts[3].forwards = 21.0, 160
    pace.see(Progress(TODO, 4, counts=counts[4]))
    assert pace.left == pytest.approx((16 + 8) / 16)  # of the fast defence, by its own pace
    counts[4].forwards = 10**9
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


def test_rows_are_told_when_their_last_unit_is_done(tmp_path: Path) -> None:
    config, seen = toy_config(), []
    run = toy_run(tmp_path / "run", config)

    def see(now: Progress) -> None:
        seen.extend((now.done, row) for row in now.rows)
        if now.done == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        do(run, config, progress=see)
    assert [(done, row.label, row.attack) for done, row in seen] == [(3, "noisy", "shift"), (6, "undefended", "shift")]
    more: list[Progress] = []
    result = do(run, config, progress=more.append)
    late = [(row.label, row.attack) for now in more for row in now.rows]
    assert late == [("noisy", "stay"), ("undefended", "stay")]  # those before are not told again
    told = [row for _, row in seen] + [row for now in more for row in now.rows]
    assert [(row.label, row.attack, row.clean, row.robust) for row in told] == [
        (row.label, row.attack, row.clean, row.robust)
        for row in sorted(row_results(result), key=lambda row: (row.attack, row.label))
    ]
    assert results(config, finished_units(run)) == result


def test_the_passes_of_a_unit_are_counted_while_it_is_done(tmp_path: Path) -> None:
    config, spent = toy_config(), []
    run = toy_run(tmp_path / "run", config)
    latest: list[Progress] = []

    def see(now: Progress) -> None:
        if latest and now.done > latest[-1].done:
            spent.append(latest[-1].counts.forwards)
        latest.append(now)

    do(run, config, progress=see)
    assert spent == [record["forwards"] for record in finished_units(run).values()]


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
