"""Several workers, a lost worker, and a run that grows: the same per-image decisions as one uninterrupted process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from mlvgm.cli.main import main
from mlvgm.runs.workers import Workers

COMMAND = (sys.executable, "-c", "from mlvgm.cli.main import main; main()")
TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--no-python")
TIMES = {"seconds", "decision_seconds"}
STUDY = """
limit: {limit}
block: 4
threads: 1
attacks:
- label: apgd
  attack: {{name: apgd-ce, iterations: {iterations}}}
{attacks}
rows:
- label: noise
  purifier: noise
- label: undefended
  purifier: none
{rows}
"""


def study(folder: Path, *, limit: int = 12, iterations: int = 4, attacks: str = "", rows: str = "") -> Path:
    path = folder / "study.yaml"
    path.write_text(STUDY.format(limit=limit, iterations=iterations, attacks=attacks, rows=rows))
    return path


def command(prefix: tuple[str, ...], *arguments: object, cwd: Path) -> subprocess.Popen[str]:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [*prefix, *map(str, arguments), "--quiet"],
        cwd=cwd,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def finish(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=600)
    assert process.returncode == 0, err
    return out


def decisions(run: Path) -> dict[str, Any]:
    """Everything recorded but the times, by unit; a unit must stand once, whichever worker did it."""
    lines = [json.loads(line) for path in run.glob("records*.jsonl") for line in path.read_text().splitlines()]
    assert len({line["unit"] for line in lines}) == len(lines)
    return {line["unit"]: {key: value for key, value in line.items() if key not in TIMES} for line in lines}


def accuracies(run: Path) -> list[tuple[Any, ...]]:
    rows = json.loads((run / "metrics.json").read_text())["rows"]
    return [(row["label"], row["attack"], row["clean"], row["robust"], row["robust_single"]) for row in rows]


def torchrun(*arguments: object, cwd: Path) -> subprocess.Popen[str]:
    return command((*TORCHRUN, *COMMAND), *arguments, cwd=cwd)


def test_two_workers_and_a_lost_one(tmp_path: Path) -> None:
    config = study(tmp_path, limit=24, iterations=20)
    finish(command(COMMAND, "run", "purify", "--config", config, "--out", "one", cwd=tmp_path))
    expected = decisions(tmp_path / "one")

    out = finish(torchrun("run", "purify", "--config", config, "--out", "two", "--json", cwd=tmp_path))
    assert decisions(tmp_path / "two") == expected and accuracies(tmp_path / "two") == accuracies(tmp_path / "one")
    assert json.loads(out)["run"] == "two"  # one object, from one of them
    assert all((tmp_path / "two" / name).stat().st_size for name in ("records.jsonl", "records-1.jsonl"))

    process, lost = torchrun("run", "purify", "--config", config, "--out", "lost", cwd=tmp_path), tmp_path / "lost"
    while not (lost / "records-1.jsonl").exists() and process.poll() is None:
        time.sleep(0.02)
    os.kill(_worker(process.pid, rank=1), signal.SIGKILL)
    process.communicate(timeout=120)
    assert process.returncode != 0
    before = decisions(lost)
    assert 0 < len(before) < len(expected)
    finish(torchrun("runs", "resume", "lost", cwd=tmp_path))
    assert decisions(lost) == expected and accuracies(lost) == accuracies(tmp_path / "one")


def _worker(launcher: int, *, rank: int) -> int:
    """Process id of a worker of ``torchrun``."""
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((path / "stat").read_text().rsplit(")", 1)[1].split()[1])
            variables = (path / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if parent == launcher and f"RANK={rank}".encode() in variables:
            return int(path.name)
    raise AssertionError("the worker is gone")


def test_a_run_grows(tmp_path: Path) -> None:
    attacks, rows = "- label: fgsm\n  attack: fgsm\n  rows: [undefended]\n  limit: 4", "- label: blur\n  purifier: blur"
    whole = study(tmp_path, limit=8, attacks=attacks, rows=rows).rename(tmp_path / "whole.yaml")
    finish(command(COMMAND, "run", "purify", "--config", whole, "--out", "whole", cwd=tmp_path))
    finish(command(COMMAND, "run", "purify", "--config", study(tmp_path, limit=4), "--out", "grown", cwd=tmp_path))
    kept = (tmp_path / "grown" / "records.jsonl").read_bytes()
    finish(command(COMMAND, "runs", "resume", "grown", "--config", whole, cwd=tmp_path))
    assert (tmp_path / "grown" / "records.jsonl").read_bytes().startswith(kept)
    assert decisions(tmp_path / "grown") == decisions(tmp_path / "whole")
    assert accuracies(tmp_path / "grown") == accuracies(tmp_path / "whole")
    done = {(unit["defence"], unit["attack"], unit["samples"][0]) for unit in decisions(tmp_path / "grown").values()}
    everyone = {(row, "apgd", first) for row in ("noise", "undefended", "blur") for first in (0, 4)}
    assert done == everyone | {("undefended", "fgsm", 0)}
    finish(command(COMMAND, "runs", "resume", "grown", cwd=tmp_path))  # by its own configuration, now the wider one

    other = command(COMMAND, "runs", "resume", "grown", "--config", study(tmp_path, iterations=5), cwd=tmp_path)
    _, err = other.communicate(timeout=120)
    assert other.returncode == 2 and "'noise' under 'apgd' has changed since the run began" in err


def test_shares_are_disjoint_and_complete() -> None:
    units = list(range(11))
    shares = [Workers(rank, 3).share(units) for rank in range(3)]
    assert sorted(unit for share in shares for unit in share) == units
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.mark.parametrize("rank", [0, 1])
def test_one_of_them_speaks(rank: int, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("mlvgm.runs.workers.announced", lambda environ: Workers(rank, 2))
    with pytest.raises(SystemExit) as stopped:
        main(["run", "purify", "--purifier", "none", "--dry-run", "--json"])
    printed = capfd.readouterr()
    assert stopped.value.code == 0
    assert bool(printed.out) == bool(printed.err) == (rank == 0)
    assert ("dry run: nothing was computed" in printed.err) == (rank == 0)
