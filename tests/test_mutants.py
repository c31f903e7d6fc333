"""The lists of wrong versions are in step with the sources, and the tool that tries them tells killed from survived."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import mutation
import pytest

ROOT = Path(__file__).parent.parent

ALL = [mutant for found in mutation.lists().values() for mutant in found]


def test_there_are_enough() -> None:
    assert len(ALL) >= 80
    assert len({(mutant.file, mutant.text, mutant.replacement) for mutant in ALL}) == len(ALL)


def test_each_is_a_change_of_what_is_there_and_still_python() -> None:
    for mutant in ALL:
        changed = mutant.applied((ROOT / mutant.file).read_text())
        ast.parse(changed)
        assert mutant.falsifies
        for test in mutant.tests:
            assert (ROOT / test).is_file(), test


def test_each_equivalent_has_its_reason() -> None:
    for line in (mutation.HERE / "equivalents.jsonl").read_text().splitlines():
        row = json.loads(line)
        assert row.pop("reason")
        mutation.Mutant(**row).applied((ROOT / row["file"]).read_text())


def test_a_text_that_is_not_there_is_refused() -> None:
    mutant = mutation.Mutant("core/src/mlvgm/box.py", "no such text", "", "nothing")
    with pytest.raises(ValueError, match="0 times, not once"):
        mutant.applied("some source")


def test_the_project_is_not_touched_and_a_wrong_version_is_noticed(tmp_path: Path) -> None:
    test = tmp_path / "test_it.py"
    test.write_text("from mlvgm.rows import mixed\n\n\ndef test_it():\n    assert mixed(1.0, 2.0, 0) == 1.0\n")
    before = (ROOT / "core/src/mlvgm/rows.py").read_text()
    text = "return fresh if alpha else kept"
    overlay = mutation.Overlay(tmp_path / "overlay")
    wrong = mutation.Mutant(
        "core/src/mlvgm/rows.py", text, "return kept if alpha else fresh", "alphas are turned round"
    )
    unseen = mutation.Mutant("core/src/mlvgm/box.py", "images.clamp(0, 1)", "images.clamp(0, 2)", "not in this test")
    assert [overlay.notices(mutant, [str(test)]) for mutant in (wrong, unseen, None)] == [True, False, False]
    assert (ROOT / "core/src/mlvgm/rows.py").read_text() == before
