"""What a run tells while it goes on: rows as soon as they are whole, and the passes of a unit while it is done."""

from __future__ import annotations

from pathlib import Path

import pytest
from toy_study import do, finished_units, toy_config, toy_run

from mlvgm.runs.pace import Progress
from mlvgm_robust.purify.results import results, row_results


def test_rows_are_told_when_their_last_unit_is_done(tmp_path: Path) -> None:
    config, seen = toy_config(), []
    run = toy_run(tmp_path / "run", config)

    def see(now: Progress) -> None:
        if now.news:
            seen.append((now.done, now.news))
        if now.done == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        do(run, config, progress=see)
    assert [(done, news.split(":")[0]) for done, news in seen] == [(3, "noisy, shift"), (6, "undefended, shift")]
    more: list[str] = []
    result = do(run, config, progress=lambda now: more.append(now.news) if now.news else None)
    assert [news.split(":")[0] for news in more] == ["noisy, stay", "undefended, stay"]  # those before not again
    assert sorted([*(news for _, news in seen), *more]) == sorted(
        f"{row.label}, {row.attack}: clean {row.clean.percent()}, robust {row.robust.percent()}"
        for row in row_results(dict(result))
    )
    assert results(config, finished_units(run)) == result


def test_the_passes_of_a_unit_are_counted_while_it_is_done(tmp_path: Path) -> None:
    config, spent = toy_config(), []
    run = toy_run(tmp_path / "run", config)
    latest: list[Progress] = []

    def see(now: Progress) -> None:
        if latest and now.done > latest[-1].done:
            spent.append(latest[-1].effort())
        latest.append(now)

    do(run, config, progress=see)
    assert spent == [record["forwards"] + record["backwards"] for record in finished_units(run).values()]
