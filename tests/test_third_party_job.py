"""A third party's job, one file in a distribution of its own, gets from core whatever a job of ours gets."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from fake_site import Site
from mlvgm.cli.main import main

SOURCE = Path(__file__).parent / "third_party" / "pixel_statistics.py"
JOB = ("run", "pixel-statistics", "--threads", "1", "-q")
MAIN = "from mlvgm.cli.main import main; main()"
Call = Callable[..., tuple[int, Any, str]]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    Site(folder).install(
        "their-statistics",
        entry_points={"mlvgm.jobs": {"pixel-statistics": "pixel_statistics:descriptor"}},
        modules={"pixel_statistics": SOURCE.read_text()},
    )
    return folder


@pytest.fixture
def call(site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Call:
    """Exit code, the object on stdout if there is one, and stderr of a command."""
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> tuple[int, Any, str]:
        capfd.readouterr()
        with pytest.raises(SystemExit) as stopped:
            main([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        assert isinstance(stopped.value.code, int)
        return stopped.value.code, json.loads(out) if out.startswith("{") else out, err

    return run


def started(site: Path, folder: Path, *arguments: str, **variables: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(site), "OMP_NUM_THREADS": "1", **variables}
    return subprocess.Popen(
        [sys.executable, "-c", MAIN, *arguments],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def records(run: Path) -> dict[str, Any]:
    lines = [line for path in run.glob("records*.jsonl") for line in path.read_text().splitlines()]
    assert len({json.loads(line)["unit"] for line in lines}) == len(lines), "each unit once"
    return {record["unit"]: record for record in map(json.loads, lines)}


def test_it_is_one_small_file_that_core_does_not_know() -> None:
    assert len(SOURCE.read_text().splitlines()) <= 120
    core = Path(__file__).parent.parent / "core" / "src"
    assert not [path for path in core.rglob("*.py") if re.search(r"pixel.statistics", path.read_text())]


def test_it_runs_and_is_shown_listed_reported_and_compared(call: Call, tmp_path: Path) -> None:
    code, found, _ = call(*JOB, "-n", "40", "--out", "one", "--json")
    assert code == 0 and sum(row["images"] for row in found["rows"]) == 40 and found["run"] == "one"
    assert found["config"]["data"]["name"] == "fashion-mnist" and set(records(tmp_path / "one")) == {
        f"images-{start:06d}" for start in (0, 16, 32)
    }
    code, shown, _ = call("runs", "show", "one", "--json")
    assert code == 0 and shown["rows"] == found["rows"] and shown["state"] == "finished"
    assert "class" in call("runs", "show", "one")[1]
    (listed,) = call("runs", "list", ".", "--json")[1]["runs"]
    assert (listed["state"], listed["units"]) == ("finished", 3) and "pixel-statistics" in listed["command"]
    assert call(*JOB, "-n", "40", "--out", "two", "--set", "block=20")[0] == 0
    (row,) = [one for one in call("runs", "diff", "one", "two", "--json")[1]["differences"] if one["what"] == "block"]
    assert (row["first"], row["second"]) == ("16", "20")
    code, told, _ = call("report", "one", "two", "--out", "page.html", "--markdown", "tables.md", "--json")
    assert (code == 0 and [section["runs"] for section in told["sections"]] == [["one"], ["two"]]) or told["sections"]
    page = Path("page.html").read_text()
    assert "pixels in [0, 1]" in page and "number of the class" in Path("tables.md").read_text()


def test_options_come_from_files_the_environment_and_flags(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("options.yaml").write_text("block: 4\nlimit: 8\nseed: 3\n")
    monkeypatch.setenv("MLVGM_SET_BLOCK", "5")
    code, found, _ = call(*JOB, "--config", "options.yaml", "-n", "9", "--dry-run", "--json")
    config, sources = found["config"], found["sources"]
    assert code == 0 and (config["block"], config["limit"], config["seed"]) == (5, 9, 3)
    assert (sources["block"], sources["limit"], sources["seed"]) == ("$MLVGM_SET_BLOCK", "--limit", "options.yaml")
    assert sources["data.name"] == "default" and sources["budget"] == "default"
    assert call(*JOB, "--budget", "standard", "--dry-run", "--json")[1]["config"]["limit"] == 1000
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (("-n", "0"), "'--limit' / '-n'"),
        (("--set", "blok=3"), "did you mean 'block'"),
        (("--set", "block=0"), "must be >= 1"),
        (("--data", "nowhere"), "unknown dataset 'nowhere'"),
        (("--budget", "huge"), "unknown budget 'huge'"),
        (("--set", "data.source=3"), "data.source"),
        (("--workers", "none"), "--workers: expected auto or a whole number"),
        (("--device", "cuda:7"), "device 'cuda:7' is not available"),
        (("--config", "no.yaml"), "no.yaml"),
        (("-n", "4", "--set", "limit=8"), "contradict each other"),
    ],
)
def test_wrong_uses_are_one_message(call: Call, wrong: tuple[str, ...], said: str) -> None:
    code, _, err = call(*JOB, "--json", *wrong)
    assert code == 2 and said in json.loads(err)["error"] + str(json.loads(err)["hint"])
    assert not Path("runs").exists()


def test_a_threshold_fails_the_command(call: Call) -> None:
    assert call(*JOB, "-n", "16", "--fail-under", "0")[0] == 0
    code, _, err = call(*JOB, "-n", "16", "--fail-under", "0.9")
    assert code == 1 and "the darkest class has a mean of" in err


def test_a_run_grows_and_a_changed_one_is_refused(call: Call, tmp_path: Path) -> None:
    assert call(*JOB, "-n", "32", "--out", "run")[0] == 0
    before = records(tmp_path / "run")
    grown = yaml.safe_load(Path("run/config.yaml").read_text())
    Path("grown.yaml").write_text(yaml.safe_dump(grown | {"limit": 48}))
    code, found, _ = call("runs", "resume", "run", "--config", "grown.yaml", "-q", "--json")
    assert code == 0 and sum(row["images"] for row in found["rows"]) == 48
    assert records(tmp_path / "run").items() >= before.items()
    Path("run/config.yaml").write_text(yaml.safe_dump(grown | {"block": 8}))
    code, _, err = call("runs", "resume", "run")
    assert (code == 2 and "what unit 'images-000016' depends on has changed" in err) or "depends on has changed" in err
    assert call("runs", "delete", "run", "--yes")[0] == 0 and not Path("run").exists()


def test_hooks_are_told_once(call: Call, site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    more = tmp_path / "hooks"
    more.mkdir()
    listener = (
        "from mlvgm.plugins.hookspecs import hookimpl\n"
        "def note(text):\n    open('told', 'a').write(text + '\\n')\n"
        "@hookimpl\ndef mlvgm_run_started(run, config):\n    note('started ' + config.run)\n"
        "@hookimpl\ndef mlvgm_unit_done(record):\n    note(record['unit'])\n"
        "@hookimpl\ndef mlvgm_run_finished(result):\n    note('finished ' + str(len(result['rows'])))\n"
    )
    Site(more).install("their-hooks", entry_points={"mlvgm.hooks": {"told": "told"}}, modules={"told": listener})
    path = os.pathsep.join((str(site), str(more)))
    process = started(site, tmp_path, *JOB[:2], "-q", "-n", "48", "--workers", "2", "--out", "run", PYTHONPATH=path)
    assert process.communicate()[1] and process.returncode == 0
    told = Path("told").read_text().splitlines()
    assert told[-1] == "finished 10" and told.count("started pixel-statistics") == 1
    assert sorted(told[:-1])[:3] == ["images-000000", "images-000016", "images-000032"] and len(told) == 5


def test_workers_torchrun_and_one_process_find_the_same(call: Call, site: Path, tmp_path: Path) -> None:
    assert call(*JOB, "-n", "64", "--out", "alone")[0] == 0
    options = ("run", "pixel-statistics", "-q", "-n", "64", "--out")
    two = started(site, tmp_path, *options, "two", "--workers", "2")
    assert "run directory: two" in two.communicate()[1] and two.returncode == 0
    place = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29531"}
    ranks = [started(site, tmp_path, *options, "ranks", RANK=str(rank), **place) for rank in (0, 1)]
    assert [process.communicate() and process.returncode for process in ranks] == [0, 0]
    whole = records(tmp_path / "alone")
    assert records(tmp_path / "two") == whole == records(tmp_path / "ranks")
    for name in ("two", "ranks"):
        assert (tmp_path / name / "records-1.jsonl").exists()
        assert json.loads((tmp_path / name / "metrics.json").read_text()) == json.loads(
            (tmp_path / "alone" / "metrics.json").read_text()
        )


def test_killed_at_any_moment_it_goes_on_with_the_same_result(call: Call, site: Path, tmp_path: Path) -> None:
    options = ("-n", "2000", "--set", "block=4")
    assert call(*JOB, *options, "--out", "whole")[0] == 0
    process = started(site, tmp_path, *JOB[:2], "-q", *options, "--out", "cut")
    lines = tmp_path / "cut" / "records.jsonl"
    for least, number in ((3, signal.SIGKILL), (40, signal.SIGTERM)):
        while process.poll() is None and (not lines.exists() or lines.read_bytes().count(b"\n") < least):
            time.sleep(0.005)
        process.send_signal(number)
        process.communicate()
        assert process.returncode != 0 and len(records(tmp_path / "cut")) < 500
        process = started(site, tmp_path, "runs", "resume", "cut", "-q")
    process.communicate()
    assert process.returncode == 0 and records(tmp_path / "cut") == records(tmp_path / "whole")
    metrics = [json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("cut", "whole")]
    assert metrics[0] == metrics[1]


def test_its_help_is_light(site: Path) -> None:
    program = (
        "import sys\nfrom mlvgm.cli.main import main\n"
        "try:\n    main(['run', 'pixel-statistics', '--help'])\nfinally:\n    print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(site), "COLUMNS": "80"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "--limit" in done.stdout and "--workers" in done.stdout and "Example:" in done.stdout
    assert not {"torch", "pydantic", "numpy"} & set(done.stderr.split())
