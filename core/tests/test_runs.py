"""Run directories: records survive a kill, files are whole or absent, configuration remembers its sources."""

from __future__ import annotations

import errno
import os
import signal
import time
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mlvgm.configuration.settings import flatten, from_assignments, from_environment, nest, parse_value
from mlvgm.errors import ConfigError, InputError, Stopped
from mlvgm.files import check_writable
from mlvgm.runs import records
from mlvgm.runs.rundir import RunDirectory
from mlvgm.runs.work import stopping_on_signals


def make_run(path: Path) -> RunDirectory:
    return RunDirectory.create(path, name="test", config="run: purify\n", environment={"threads": 1})


def test_an_unfinished_line_is_dropped_and_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    records.append(path, {"unit": "a", "n": 1})
    with path.open("ab") as file:
        file.write(b'{"unit": "b", "n"')  # a process killed while writing
    assert [record["unit"] for record in records.read(path)] == ["a"]
    records.append(path, {"unit": "b", "n": 2})
    assert [(record["unit"], record["n"]) for record in records.read(path)] == [("a", 1), ("b", 2)]


def test_a_file_that_is_only_an_unfinished_line(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    path.write_bytes(b'{"unit":')
    assert list(records.read(path)) == []
    records.append(path, {"unit": "a"})
    assert [record["unit"] for record in records.read(path)] == ["a"]


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    path.write_text('{"unit": "a"}\nnonsense\n{"unit": "b"}\n')
    with pytest.raises(InputError, match="line 2"):
        list(records.read(path))


@pytest.mark.parametrize("line", ["[1]", "3", '{"n": 1}', '{"unit": 7}'])
def test_what_is_json_and_no_record_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "records.jsonl"
    path.write_text('{"unit": "a"}\n' + line + "\n")
    with pytest.raises(InputError, match=r"records\.jsonl: line 2 is not a record"):
        list(records.read(path))


def test_the_first_record_of_a_unit_counts(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    run.append({"unit": "a", "n": 1})
    run.append({"unit": "a", "n": 2})
    assert run.finished()["a"]["n"] == 1


def test_images_come_back_bit_by_bit(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    images = torch.rand(3, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    run.write_images("unit", {"adversarial": images})
    assert torch.equal(run.read_images("unit")["adversarial"], images)


def test_damaged_files_of_a_run_are_named(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path / "run", name="n", config="run: purify\n", environment={})
    run.write_images("unit", {"a": torch.rand(2, 2)})
    path = run.path / "images" / "unit.safetensors"
    path.write_bytes(path.read_bytes()[:10])
    for unit in ("unit", "gone"):
        with pytest.raises(InputError, match=f"cannot read images '.*{unit}.safetensors'"):
            run.read_images(unit)
    (run.path / "status.json").write_text("{")
    with pytest.raises(InputError, match=r"status.json' is damaged"):
        _ = run.state


def test_used_and_unwritable_folders_are_refused(tmp_path: Path) -> None:
    make_run(tmp_path / "run")
    with pytest.raises(InputError, match="not empty"):
        make_run(tmp_path / "run")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write"):
        check_writable(tmp_path / "file" / "run")
    with pytest.raises(InputError, match="cannot write"):
        make_run(tmp_path / "file" / "run")
    with pytest.raises(InputError, match="not a run directory"):
        RunDirectory.open(tmp_path)


def test_a_full_disk_is_one_resumable_message(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    run.append({"unit": "a"})
    with pytest.raises(Stopped, match="resume"), run.keeping_records():
        raise OSError(errno.ENOSPC, "No space left on device")
    assert list(run.finished()) == ["a"]


def test_a_disk_full_at_the_start_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", refuse)
    with pytest.raises(InputError, match="No space left"):
        make_run(tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_termination_passes_code_that_catches_exceptions(
    number: signal.Signals, request: pytest.FixtureRequest
) -> None:
    before = signal.signal(number, signal.SIG_DFL)  # under nohup it is ignored, and stays so
    request.addfinalizer(lambda: signal.signal(number, before))
    with pytest.raises(Stopped, match=f"{number.name}.*go on so"), stopping_on_signals("go on so"):
        try:
            os.kill(os.getpid(), number)
            time.sleep(5)
        except Exception:  # a hook's failure is told and passed over
            pass


def test_replaced_files_leave_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(tmp_path / "run")
    run.write_json("metrics.json", {"old": 1})

    def refuse(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", refuse)
    with pytest.raises(OSError):
        run.write_json("metrics.json", {"new": 1})
    assert run.read_json("metrics.json") == {"old": 1}
    assert not list(run.path.glob(".metrics*"))


@pytest.mark.parametrize(
    ("text", "value"),
    [("8/255", 8 / 255), ("1e-3", 0.001), ("true", True), ("null", None), ("keep:6", "keep:6"), ("[0, 0.5]", [0, 0.5])],
)
def test_values_as_users_write_them(text: str, value: object) -> None:
    assert parse_value(text) == value


keys = st.from_regex(r"[a-z]{1,3}(\.[a-z]{1,3}){0,2}", fullmatch=True)


@given(st.dictionaries(keys, st.integers(), max_size=6))
def test_nest_inverts_flatten(flat: dict[str, int]) -> None:
    try:
        tree = nest(flat)
    except ConfigError:
        parents = {key.rsplit(".", n)[0] for key in flat for n in range(1, key.count(".") + 1)}
        assert parents & set(flat)  # refused only where one key is both an option and a group
    else:
        assert flatten(tree) == flat


def test_settings_remember_where_they_come_from() -> None:
    assert from_assignments(["attack.eps=8/255"], source="--set")["attack.eps"].source == "--set"
    found = from_environment({"MLVGM_SET_ATTACK__EPS": "0.5", "HOME": "/"})
    assert {key: (s.value, s.source) for key, s in found.items()} == {"attack.eps": (0.5, "$MLVGM_SET_ATTACK__EPS")}
    with pytest.raises(ConfigError, match="KEY=VALUE"):
        from_assignments(["attack.eps"], source="--set")
