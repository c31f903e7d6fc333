"""What is printed of results: the figures that were measured, each under its own head."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from toy_study import do, toy_config, toy_run, toy_study

from mlvgm.cli.output import print_result
from mlvgm.cli.run import finish
from mlvgm.plugins.hooks import Hooks
from mlvgm.plugins.index import Index
from mlvgm.protocols.job import Result
from mlvgm.runs.workers import Workers
from mlvgm_robust.purify.job import PurifyJob
from mlvgm_robust.purify.printed import printed
from mlvgm_robust.purify.results import row_results


def test_each_figure_stands_under_its_head(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = toy_config(attacks=[{"label": "shift", "attack": {"name": "shift"}}])
    result = dict(do(toy_run(tmp_path / "run", config), config))
    for row, shares in zip(result["rows"], ((0.9, 0.7, 0.8, 0.6), (0.5, 0.3, 0.4, 0.2)), strict=True):
        for name, share in zip(("clean", "robust", "clean_single", "robust_single"), shares, strict=True):
            row[name] = {"value": share, "low": share - 0.01, "high": share + 0.01}
    for width, figures in ((80, (90, 70)), (120, (90, 70, 80, 60))):
        monkeypatch.setenv("COLUMNS", str(width))
        print_result(Result(result, printed(result)))
        lines = capsys.readouterr().out.split("point-wise")[0].splitlines()
        assert max(map(len, lines)) <= width
        heads = next(line for line in lines if line.startswith("defence"))
        row = next(line for line in lines if line.startswith("noisy"))
        said = [f"{figure}.0 [{figure - 1}, {figure + 1}]" for figure in figures]
        assert [row.find(text) for text in said] == sorted(row.find(text) for text in said)
        assert all(text in row for text in said) and heads.index("votes") < row.index(said[1])
    assert "clean" in lines[1] and lines[1].index("clean") < lines[1].index("robust")


def test_a_row_is_told_on_stderr_as_soon_as_it_is_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = toy_config()
    run = toy_run(tmp_path / "run", config)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mlvgm_robust.purify.job.small_print", lambda config, images: "")
        patch.setattr("mlvgm.runs.report.write_report", lambda job, run, config: None)
        patch.setattr("mlvgm.cli.output.print_result", lambda result: None)
        study, hooks = toy_study(config), Hooks(Index())
        finish(PurifyJob(), config, study, run, hooks=hooks, workers=Workers(), json=False, quiet=False)
    said = [line for line in capsys.readouterr().err.splitlines() if ": clean " in line]
    rows = row_results(json.loads((run.path / "metrics.json").read_text()))
    assert sorted(said) == sorted(
        f"{row.label}, {row.attack}: clean {row.clean.percent()}, robust {row.robust.percent()}" for row in rows
    )
    assert len({row.robust.value for row in rows} | {row.clean.value for row in rows}) > 1
