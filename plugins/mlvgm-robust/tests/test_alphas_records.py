"""Records of a choice of alphas read back: what no search writes is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mlvgm.errors import InputError
from mlvgm.runs.rundir import RunDirectory
from mlvgm_robust.alphas.records import finished_alphas, problem_of

TRIAL = {"alphas": [0.0, 0.5], "objective": 0.5, "accuracy": 0.5, "clean": None, "origin": "uniform"}
GOOD: list[dict[str, Any]] = [
    {"unit": "trial-000000", "trial": TRIAL},
    {"unit": "fresh-000001", "trial": TRIAL},
    {"unit": "set-search", "split": "train", "tried": 3, "right": 2},
    {"unit": "held-out-none", "label": "none", "alphas": [0.0], "transferred": [True], "clean": [], "adaptive": []},
]


def test_whole_records_have_no_problem(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path / "run", name="n", config="run: alphas\n", environment={})
    for record in GOOD:
        assert problem_of(record) == ""
        run.append(record)
    assert list(finished_alphas(run).values()) == GOOD


@pytest.mark.parametrize(
    ("number", "change"),
    [
        (0, {"trial": None}),
        (0, {"trial": {}}),
        (0, {"trial": TRIAL | {"alphas": ["many"]}}),
        (0, {"trial": TRIAL | {"objective": "high"}}),
        (1, {"trial": [1]}),
        (2, {"tried": -1}),
        (2, {"right": None}),
        (3, {"clean": 3}),
        (3, {"transferred": ["perhaps"]}),
        (3, {"unit": "shift--none--000000"}),
    ],
)
def test_what_no_search_writes_is_named(tmp_path: Path, number: int, change: dict[str, Any]) -> None:
    run = RunDirectory.create(tmp_path / "run", name="n", config="run: alphas\n", environment={})
    run.append(GOOD[number] | change)
    with pytest.raises(InputError, match="line 1 is not a record"):
        finished_alphas(run)
