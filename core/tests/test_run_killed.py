"""A run killed at any of its writes: what is left can be started again or resumed, and nothing recorded is lost."""

from __future__ import annotations

import errno
import json
import os
import platform
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from mlvgm.errors import InputError, Stopped
from mlvgm.files import append_line, is_unfinished, remove_unfinished, write_text
from mlvgm.runs.lock import is_locked, locked
from mlvgm.runs.rundir import RunDirectory
from mlvgm.runs.work import at_work, stopping_on_signals

STEPS = ("open", "mkdir", "write", "fsync", "chmod", "replace")


def begin(path: Path) -> RunDirectory:
    documents = {"plan.json": {"data": "d"}, "inputs.json": {}}
    return RunDirectory.create(path, name="n", config="run: purify\n", environment={"threads": 1}, documents=documents)


def killed(work: Callable[..., object], *given: object, at: int) -> bool:
    """Do ``work`` in another process that gets SIGKILL before its ``at``-th step on files; whether it came so far."""
    child = os.fork()
    if child == 0:
        left = [at]

        def counted(step: Callable[..., object]) -> Callable[..., object]:
            def instead(*given: object, **named: object) -> object:
                left[0] -= 1
                if left[0] < 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return step(*given, **named)

            return instead

        for name in STEPS:
            setattr(os, name, counted(getattr(os, name)))
        try:
            work(*given)
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def test_a_run_killed_at_any_moment_of_its_start(tmp_path: Path) -> None:
    at, begun = 0, 0
    while killed(begin, tmp_path / str(at), at=at):
        path = tmp_path / str(at)
        if (path / "config.yaml").exists():
            run, begun = RunDirectory.open(path), begun + 1
            assert run.config.read_text() == "run: purify\n" and run.state == "created"
            assert run.read_json("plan.json") == {"data": "d"} and run.read_json("environment.json")["threads"] == 1
        else:
            if path.exists() and any(path.iterdir()):
                with pytest.raises(InputError, match=r"killed before its run began.*start it again .*or remove it"):
                    RunDirectory.open(path)
            begin(path)  # as if nothing had been there
            assert RunDirectory.open(path).config.read_text() == "run: purify\n"
        at += 1
    assert at > 20 and begun >= 1


def test_what_is_more_than_a_start_is_not_taken(tmp_path: Path) -> None:
    for number, name in enumerate(("images/unit.safetensors", "records.jsonl", "precious", ".part", ".hidden")):
        path = tmp_path / str(number)
        (path / "images").mkdir(parents=True)
        (path / name).write_text("precious")
        with pytest.raises(InputError, match="not empty"):
            begin(path)
        assert (path / name).read_text() == "precious"
        with pytest.raises(InputError, match="is not a run directory"):
            RunDirectory.open(path)


def test_units_killed_at_any_moment(tmp_path: Path) -> None:
    """A unit is there with its images or not at all, and what was there before stays."""
    run = begin(tmp_path / "run")
    images = {"adversarial": torch.rand(2, 1, 4, 4)}

    def work(name: str) -> None:
        with at_work(run, go_on=""):
            run.write_images(name, images)
            run.append({"unit": name})

    done: list[str] = []
    at = 0
    while killed(work, f"u{at}", at=at):
        assert list(run.finished()) in (done, [*done, f"u{at}"])
        done = list(run.finished())
        for unit in done:
            assert torch.equal(run.read_images(unit)["adversarial"], images["adversarial"])
        assert run.state in ("created", "dead", "finished")
        at += 1
    assert run.state == "finished" and f"u{at}" in run.finished() and at > 15
    assert not [path for path in run.path.rglob("*") if is_unfinished(path)], "litter is swept when a run goes on"


def test_a_lines_rest_never_runs_into_the_next_line(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_bytes(b"whole\nha")
    append_line(path, "next")
    assert path.read_bytes() == b"whole\nnext\n"


def test_only_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    write_text(tmp_path / "kept", "")
    (tmp_path / ".kept.abc.part").write_text("")
    (tmp_path / "their.part").write_text("")
    remove_unfinished(tmp_path)
    remove_unfinished(tmp_path / "nowhere")
    assert {path.name for path in tmp_path.iterdir()} == {"kept", "their.part"}


def test_one_command_at_a_time(tmp_path: Path) -> None:
    run = begin(tmp_path / "run")
    run.refuse_in_use()
    with at_work(run, go_on=""):
        assert run.state == "running" and is_locked(run.path)
        for refused in (run.refuse_in_use, lambda: at_work(run, go_on="").__enter__()):
            with pytest.raises(InputError, match="in use by another command"):
                refused()
        assert run.state == "running"
    assert run.state == "finished" and not is_locked(run.path)


def test_a_run_whose_process_is_gone_is_dead(tmp_path: Path) -> None:
    run = begin(tmp_path / "run")
    run.set_status("running")
    assert run.state == "dead"
    with locked(run.path):
        assert run.state == "running"
    run.write_json("status.json", {"state": "running", "host": f"not-{platform.node()}"})
    assert run.state == "running", "the locks of another machine may not be seen here"
    for state in ("stopped", "failed", "finished"):
        run.set_status(state)
        assert run.state == state


def test_how_a_run_ended_is_on_disk(tmp_path: Path) -> None:
    run = begin(tmp_path / "run")
    for error, state in (
        (KeyboardInterrupt(), "stopped"),
        (Stopped("enough"), "stopped"),
        (OSError(errno.ENOSPC, "No space left on device"), "stopped"),
        (OSError(errno.EIO, "Input/output error"), "stopped"),
        (ValueError("a bug"), "failed"),
        (SystemExit(1), "failed"),
    ):
        with pytest.raises(Stopped if isinstance(error, OSError) else type(error)), at_work(run, go_on="so"):
            raise error
        assert run.state == state, error


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "the disk is full; .*free some space; it goes on so"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "the disk is full; .*free some space; it goes on so"),
        (OSError(errno.EIO, "Input/output error", "x.jsonl"), "Input/output error: 'x.jsonl'; .*it goes on so"),
        (IsADirectoryError(errno.EISDIR, "Is a directory", "records.jsonl"), r"Is a directory: 'records\.jsonl'"),
    ],
)
def test_what_cannot_be_written_stops_a_run_resumably(tmp_path: Path, error: OSError, said: str) -> None:
    run = begin(tmp_path / "run")
    with pytest.raises(Stopped, match=said) as stopped, at_work(run, go_on="it goes on so"):
        raise error
    assert stopped.value.exit_code == 3


def test_an_ignored_signal_stays_ignored() -> None:
    """As under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stopping_on_signals("so"):
            os.kill(os.getpid(), signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("content", [b"{", b"[1]", b"3", b"\xba\xbe", b"[" * 100_000, b"", b"null", b"\x00" * 9])
def test_a_damaged_status_is_named(tmp_path: Path, content: bytes) -> None:
    run = begin(tmp_path / "run")
    (run.path / "status.json").write_bytes(content)
    with pytest.raises(InputError, match=r"status\.json' is damaged"):
        _ = run.state


def test_folders_in_the_place_of_files_are_named(tmp_path: Path) -> None:
    run = begin(tmp_path / "run")
    for name in ("status.json", "records.jsonl"):
        (run.path / name).unlink(missing_ok=True)
        (run.path / name).mkdir()
    with pytest.raises(InputError, match=r"cannot read '.*status\.json'"):
        _ = run.state
    with pytest.raises(InputError, match=r"cannot read records '.*records\.jsonl'"):
        run.finished()


def test_a_run_without_its_folder_of_images_gets_it_back(tmp_path: Path) -> None:
    run = begin(tmp_path / "run")
    run.images.rmdir()
    run.write_images("u", {"a": torch.zeros(1)})
    assert list(run.read_images("u")) == ["a"]


def test_shards_are_the_same_bytes_every_time(tmp_path: Path) -> None:
    run = begin(tmp_path / "run")
    header = {f"key-{number}": "value" for number in range(20)}
    for unit in ("a", "b"):
        run.write_images(unit, {"x": torch.zeros(3), "y": torch.ones(2, dtype=torch.int64)}, header)
    assert run.shard("a").read_bytes() == run.shard("b").read_bytes()
    assert set(run.read_images("a")) == {"x", "y"}


def test_impossible_names(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot write to output folder"):
        begin(tmp_path / ("x" * 300))
    with pytest.raises(InputError, match="cannot read run"):
        RunDirectory.open(tmp_path / ("x" * 300))


def test_records_that_are_no_lines_of_text(tmp_path: Path) -> None:
    run = begin(tmp_path / "run")
    for line in (b"\x00" * 8, b"\xff\xfe{}", b'{"unit":' * 50_000, b'{"unit": ' + b"9" * 5000 + b"}"):
        run.records.write_bytes(line + b"\n")
        with pytest.raises(InputError, match=r"records\.jsonl: line 1 is not a record"):
            run.finished()
    run.records.write_text(json.dumps({"unit": "a"}))  # not ended: not recorded
    assert run.finished() == {}
