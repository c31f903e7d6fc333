"""Folders are looked at before anything is computed for them."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from mlvgm.configuration.threads import default_threads
from mlvgm.errors import InputError
from mlvgm.files import check_empty, check_writable


def test_folders_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("x")
    for folder, said in (
        (tmp_path / "file", "is no folder"),
        (tmp_path / "file" / "below", "is no folder"),
        (tmp_path / ("x" * 300), "File name too long"),
        (tmp_path / ("x" * 300) / "run", "File name too long"),
        (tmp_path / "new" / ("x" * 300) / "run", "File name too long"),
        (Path("/proc/run"), "cannot write"),
    ):
        with pytest.raises(InputError, match=said):
            check_writable(folder)
    check_writable(tmp_path / "new" / "run")
    assert not (tmp_path / "new").exists()
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=4096))
    with pytest.raises(InputError, match="the disk is full"):
        check_writable(tmp_path / "new")


def test_folders_that_hold_something(tmp_path: Path) -> None:
    check_empty(tmp_path)
    check_empty(tmp_path / "new")
    (tmp_path / ".hidden").write_text("x")
    with pytest.raises(InputError, match=r"is not empty \(resume it\)"):
        check_empty(tmp_path, hint="resume it")


def test_threads_are_those_the_environment_asks_for_or_the_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2, 3}, raising=False)
    for cpu, siblings in enumerate(("0,2", "1,3", "0,2", "1,3")):
        (tmp_path / f"cpu{cpu}" / "topology").mkdir(parents=True)
        (tmp_path / f"cpu{cpu}" / "topology" / "thread_siblings_list").write_text(f"{siblings}\n")
    assert default_threads({}, topology=tmp_path) == 2
    assert default_threads({}, topology=tmp_path / "nowhere") == 4
    assert default_threads({"MKL_NUM_THREADS": "3"}, topology=tmp_path) == 3
    assert default_threads({"OMP_NUM_THREADS": "5,2", "MKL_NUM_THREADS": "3"}, topology=tmp_path) == 5
    assert default_threads({"OMP_NUM_THREADS": "0"}, topology=tmp_path) == 2
