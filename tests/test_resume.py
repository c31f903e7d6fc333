"""Killed with SIGKILL at a random moment and resumed: the same per-image decisions, nothing lost."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

# A process whose parent ignores SIGINT, as shells do in the background, would ignore it too.
LISTEN = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
COMMAND = (sys.executable, "-c", f"{LISTEN}; from mlvgm.cli.main import main; main()")
QUICK = ("--purifier", "noise", "--attack", "apgd-ce", "--set", "attack.iterations=4", "--set", "block=4", "-n", "32")
TIMES = {"seconds", "decision_seconds"}


def start(*arguments: str, cwd: Path) -> subprocess.Popen[str]:
    return subprocess.Popen([*COMMAND, *arguments], cwd=cwd, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def finish(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=600)
    assert process.returncode == 0, err
    return out


def decisions(run: Path) -> dict[str, Any]:
    """Everything recorded but the times, by unit; a unit must stand once."""
    lines = [json.loads(line) for line in (run / "records.jsonl").read_text().splitlines()]
    assert len({line["unit"] for line in lines}) == len(lines)
    return {line["unit"]: {key: value for key, value in line.items() if key not in TIMES} for line in lines}


def kill_and_resume(folder: Path, *, options: tuple[str, ...], tries: int, seed: int) -> int:
    """Kill and resume ``tries`` times, each against one uninterrupted run; gives how many kills hit the work itself."""
    begun = time.monotonic()
    finish(start("run", "purify", "--quiet", *options, "--threads", "1", "--out", "whole", cwd=folder))
    duration = time.monotonic() - begun
    expected, metrics = decisions(folder / "whole"), json.loads((folder / "whole" / "metrics.json").read_text())
    moments, hits = random.Random(seed), 0
    for number in range(tries):
        run = folder / f"killed-{number}"
        process = start("run", "purify", "--quiet", *options, "--threads", "1", "--out", run.name, cwd=folder)
        while not (run / "config.yaml").exists() and process.poll() is None:
            time.sleep(0.02)
        time.sleep(moments.uniform(0, 0.6) * duration)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        before = (run / "records.jsonl").read_bytes() if (run / "records.jsonl").exists() else b""
        kept = before[: before.rfind(b"\n") + 1]
        hits += 0 < kept.count(b"\n") < len(expected)
        result = json.loads(finish(start("runs", "resume", run.name, "--quiet", "--json", cwd=folder)))
        assert (run / "records.jsonl").read_bytes().startswith(kept), "a finished unit was lost or done again"
        assert decisions(run) == expected
        for row, original in zip(result["rows"], metrics["rows"], strict=True):
            assert (row["clean"], row["robust"]) == (original["clean"], original["robust"])
        assert json.loads((run / "status.json").read_text())["state"] == "finished"
    return hits


def test_two_kills(tmp_path: Path) -> None:
    kill_and_resume(tmp_path, options=QUICK, tries=2, seed=0)


@pytest.mark.slow
def test_ten_kills(tmp_path: Path) -> None:
    """The main job's own defences, ten times."""
    options = ("--attack", "apgd-ce", "--set", "attack.iterations=3", "--set", "block=4", "-n", "12")
    assert kill_and_resume(tmp_path, options=options, tries=10, seed=1) >= 3


def signalled(number: signal.Signals, *, cwd: Path) -> tuple[int, str]:
    """Exit code and messages of a run that gets a signal after its first record."""
    process = start("run", "purify", "--quiet", *QUICK, "--threads", "1", "--out", "run", cwd=cwd)
    while not (cwd / "run" / "records.jsonl").exists() and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(number)
    _, err = process.communicate(timeout=120)
    return process.returncode, err


def test_sigterm_stops_resumably(tmp_path: Path) -> None:
    code, err = signalled(signal.SIGTERM, cwd=tmp_path)
    assert code == 3 and "error: terminated" in err and "Traceback" not in err
    assert json.loads((tmp_path / "run" / "status.json").read_text())["state"] == "stopped"
    finish(start("runs", "resume", "run", "--quiet", cwd=tmp_path))
    assert json.loads((tmp_path / "run" / "status.json").read_text())["state"] == "finished"


def test_a_resolved_configuration_runs_again(tmp_path: Path) -> None:
    finish(start("run", "purify", "--quiet", *QUICK, "--set", "seed=7", "--threads", "1", "--out", "one", cwd=tmp_path))
    finish(start("run", "purify", "--quiet", "--config", "one/config.yaml", "--out", "two", cwd=tmp_path))
    assert decisions(tmp_path / "one") == decisions(tmp_path / "two")


def test_an_edited_configuration_is_refused_on_resume(tmp_path: Path) -> None:
    finish(start("run", "purify", "--quiet", *QUICK, "--set", "compare=false", "--out", "run", cwd=tmp_path))
    config = tmp_path / "run" / "config.yaml"
    config.write_text(config.read_text().replace("seed: 0", "seed: minus one"))
    process = start("runs", "resume", "run", cwd=tmp_path)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 2 and "run.seed" in err
    config.write_text(config.read_text().replace("seed: minus one", "seed: 0").replace("block: 4", "block: 8"))
    process = start("runs", "resume", "run", cwd=tmp_path)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 2 and "the configuration of 'noise' under 'apgd-ce' has changed" in err


def test_an_interrupt_says_how_to_go_on(tmp_path: Path) -> None:
    code, err = signalled(signal.SIGINT, cwd=tmp_path)
    assert code == 130 and "mlvgm runs resume run" in err and "Traceback" not in err


def test_a_run_that_cannot_grow_stays_as_it_was(tmp_path: Path) -> None:
    small = ("--purifier", "none", "--attack", "fgsm", "--set", "compare=false", "--set", "block=4", "-n", "6")
    finish(start("run", "purify", "--quiet", *small, "--threads", "1", "--out", "run", cwd=tmp_path))
    config = tmp_path / "run" / "config.yaml"
    before = config.read_text()
    (tmp_path / "more.yaml").write_text(before.replace("limit: 6", "limit: 8", 1))
    process = start("runs", "resume", "run", "--config", "more.yaml", cwd=tmp_path)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 2 and "which images are those of unit" in err and "whole units" in err
    assert config.read_text() == before
    finish(start("runs", "resume", "run", "--quiet", cwd=tmp_path))
