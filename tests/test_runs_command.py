"""``mlvgm runs``, ``report`` and ``run score`` on damaged runs and in wrong uses: one line and a documented code."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlvgm.cli.main import main
from mlvgm.runs.lock import locked

QUICK = ("--quiet", "--threads", "1", "--purifier", "none", "--attack", "fgsm", "-n", "8", "--set", "block=4")
FIRST = "fgsm--none--000000.safetensors"


def call(*arguments: object) -> int:
    with pytest.raises(SystemExit) as stopped:
        main([str(argument) for argument in arguments])
    assert isinstance(stopped.value.code, int)
    return stopped.value.code


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("made") / "run"
    assert call("run", "purify", *QUICK, "--set", "compare=false", "--out", path) == 0
    return path


@pytest.fixture
def run(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of a finished run of two units, to be damaged, in the working folder."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(made, tmp_path / "runs" / "run")
    return Path("runs/run")


def edit(name: str, before: str, after: str) -> Callable[[Path], None]:
    def change(run: Path) -> None:
        text = (run / name).read_text()
        assert before in text
        (run / name).write_text(text.replace(before, after))

    return change


def put(name: str, content: bytes | str) -> Callable[[Path], None]:
    def change(run: Path) -> None:
        (run / name).write_bytes(content.encode() if isinstance(content, str) else content)

    return change


def folder(name: str) -> Callable[[Path], None]:
    def change(run: Path) -> None:
        shutil.rmtree(run / name) if (run / name).is_dir() else (run / name).unlink()
        (run / name).mkdir()

    return change


def gone(name: str) -> Callable[[Path], None]:
    def change(run: Path) -> None:
        shutil.rmtree(run / name) if (run / name).is_dir() else (run / name).unlink()

    return change


def link(name: str, target: str) -> Callable[[Path], None]:
    def change(run: Path) -> None:
        (run / name).unlink()
        (run / name).symlink_to(target)

    return change


def record(**changes: Any) -> Callable[[Path], None]:
    def change(run: Path) -> None:
        first, *others = (run / "records.jsonl").read_text().splitlines()
        (run / "records.jsonl").write_text("\n".join([json.dumps(json.loads(first) | changes), *others, ""]))

    return change


NAN = float("nan")
# What is damaged, and the exit codes of `runs show`, `report`, `runs resume` and `run score`.
DAMAGED: dict[str, tuple[Callable[[Path], None], tuple[int, int, int, int]]] = {
    "config empty": (put("config.yaml", ""), (2, 2, 2, 2)),
    "config truncated": (lambda run: put("config.yaml", (run / "config.yaml").read_bytes()[:300])(run), (2, 2, 2, 2)),
    "config binary": (put("config.yaml", b"\x00\xba\xbe" * 50), (2, 2, 2, 2)),
    "config a list": (put("config.yaml", "- 1\n"), (2, 2, 2, 2)),
    "config deep": (put("config.yaml", "a: " + "[" * 5000), (2, 2, 2, 2)),
    "config of another kind": (put("config.yaml", "run: alphas\n"), (2, 2, 2, 2)),
    "config of no kind": (put("config.yaml", "run: [1]\n"), (2, 2, 2, 2)),
    "config of a wrong type": (edit("config.yaml", "votes: 8", "votes: many"), (2, 2, 2, 2)),
    "config not a number": (edit("config.yaml", "votes: 8", "votes: .nan"), (2, 2, 2, 2)),
    "config of another defence": (edit("config.yaml", "label: none", "label: other"), (2, 2, 2, 2)),
    "config of an unknown plugin": (edit("config.yaml", "name: fgsm", "name: nosuch"), (0, 0, 2, 0)),
    "config a folder": (folder("config.yaml"), (2, 2, 2, 2)),
    "config gone": (gone("config.yaml"), (2, 2, 2, 2)),
    "config a dangling link": (link("config.yaml", "nowhere"), (2, 2, 2, 2)),
    "config a loop": (link("config.yaml", "config.yaml"), (2, 2, 2, 2)),
    "status empty": (put("status.json", ""), (2, 2, 0, 0)),
    "status a list": (put("status.json", "[1]"), (2, 2, 0, 0)),
    "status binary": (put("status.json", b"\xff\xfe\x00"), (2, 2, 0, 0)),
    "status deep": (put("status.json", "[" * 100_000), (2, 2, 0, 0)),
    "status a folder": (folder("status.json"), (2, 2, 3, 0)),
    "status gone": (gone("status.json"), (0, 0, 0, 0)),
    "status odd": (put("status.json", '{"state": {"a": []}, "host": 3}'), (0, 0, 0, 0)),
    "records a folder": (folder("records.jsonl"), (2, 2, 2, 2)),
    "records empty": (put("records.jsonl", ""), (0, 2, 0, 2)),
    "records gone": (gone("records.jsonl"), (0, 2, 0, 2)),
    "records binary": (put("records.jsonl", b"\x00" * 100 + b"\n"), (2, 2, 2, 2)),
    "records with a bad line": (lambda run: put("records.jsonl", b"{}\n" + _lines(run))(run), (2, 2, 2, 2)),
    "records twice": (lambda run: put("records.jsonl", _lines(run) * 2)(run), (0, 0, 0, 0)),
    "records cut": (lambda run: put("records.jsonl", _lines(run)[:-7])(run), (0, 0, 0, 0)),
    "records not numbers": (record(chance=[NAN] * 4), (2, 2, 2, 2)),
    "records of no numbers": (record(seconds="long"), (2, 2, 2, 2)),
    "records of no images": (record(samples=[]), (2, 2, 2, 2)),
    "records of text": (record(clean=["yes"] * 4), (2, 2, 2, 2)),
    "records of another attack": (record(attack="other"), (2, 2, 2, 2)),
    "records of other images": (record(samples=[400, 401, 402, 403]), (2, 2, 2, 2)),
    "records of the same images": (record(samples=[4, 5, 6, 7]), (2, 2, 2, 2)),
    "records a dangling link": (link("records.jsonl", "nowhere"), (0, 2, 0, 2)),
    "a shard truncated": (lambda run: os.truncate(run / "images" / FIRST, 200), (0, 0, 0, 1)),
    "a shard gone": (lambda run: (run / "images" / FIRST).unlink(), (0, 0, 0, 1)),
    "a shard of another": (
        lambda run: shutil.copy(run / "images" / FIRST.replace("0.s", "4.s"), run / "images" / FIRST),
        (0, 0, 0, 1),
    ),
    "no images": (gone("images"), (0, 0, 0, 1)),
    "images a file": (lambda run: (gone("images")(run), put("images", "x")(run)), (0, 0, 0, 1)),
    "metrics binary": (put("metrics.json", b"\xff"), (0, 0, 0, 0)),
    "plan a list": (put("plan.json", "[]"), (0, 2, 0, 0)),
    "inputs a list": (put("inputs.json", "[]"), (0, 0, 2, 0)),
    "inputs of others": (put("inputs.json", '{"a": "b"}'), (0, 0, 2, 0)),
    "environment binary": (put("environment.json", b"\xff"), (0, 2, 2, 0)),
    "published of no kind": (put("published.json", "{}"), (0, 2, 0, 0)),
    "figures a file": (lambda run: (gone("figures")(run), put("figures", "x")(run)), (0, 0, 3, 0)),
    "report a folder": (folder("report.html"), (0, 2, 3, 0)),
}


def _lines(run: Path) -> bytes:
    return (run / "records.jsonl").read_bytes()


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_runs(run: Path, name: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlvgm.runs.report.as_png", lambda figure: b"drawn elsewhere")  # which takes its time
    damage, codes = DAMAGED[name]
    damage(run)
    kept = {path: path.read_bytes() for path in run.rglob("*.safetensors") if path.is_file()}
    before = _lines(run) if (run / "records.jsonl").is_file() else b""
    capfd.readouterr()
    for command, expected in zip(
        (("runs", "show", run), ("report", run), ("run", "score", run, "--quiet"), ("runs", "resume", run, "--quiet")),
        (codes[0], codes[1], codes[3], codes[2]),
        strict=True,
    ):
        code, printed = call(*command), capfd.readouterr()
        assert code == expected, (command, printed.err)
        assert "Traceback" not in printed.err and printed.err.count("error: ") == (code != 0), printed.err
    assert call("runs", "list") == 0
    assert "runs/run" in capfd.readouterr().out
    if before:
        kept_lines = before[: before.rfind(b"\n") + 1]
        assert _lines(run).startswith(kept_lines), "a record was lost"
    assert all(path.read_bytes() == content for path, content in kept.items() if path.exists())


def test_a_damaged_run_hides_no_other(run: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for number, (name, (damage, _)) in enumerate(DAMAGED.items()):
        copy = run.parent / f"{number:02} {name}"
        shutil.copytree(run, copy, symlinks=True)
        damage(copy)
    (run.parent / "begun" / "images").mkdir(parents=True)
    (run.parent / "something else").mkdir()
    (run.parent / "a file").write_text("")
    capfd.readouterr()
    assert call("runs", "list", "--json") == 0
    found = {Path(one["run"]).name: one for one in json.loads(capfd.readouterr().out)["runs"]}
    assert found["run"]["state"] == "finished" and found["run"]["units"] == 2 and found["run"]["problem"] == ""
    assert found["run"]["headline"].startswith("clean ") and ", robust " in found["run"]["headline"]
    assert found["run"]["command"].startswith("mlvgm run purify --quiet --threads 1 --purifier none")
    assert len(found["run"]["begun"]) == 16 and "something else" not in found and "a file" not in found
    assert found["begun"]["state"] == "never began" and "may be removed" in found["begun"]["problem"]
    for number, (name, (_, codes)) in enumerate(DAMAGED.items()):
        one = found[f"{number:02} {name}"]
        if codes[0] == 2 and name not in ("config of another kind", "config of no kind", "config of another defence"):
            images = name in ("records of another attack", "records of other images", "records of the same images")
            assert images or (one["state"] == "damaged" and one["problem"]), one
    assert call("runs", "list") == 0
    out = capfd.readouterr().out
    assert "finished, 2 units, clean " in out and "mlvgm run purify --quiet" in out and "damaged" in out


def test_a_dead_run_is_listed_as_dead(run: Path, capfd: pytest.CaptureFixture[str]) -> None:
    put("status.json", '{"state": "running"}')(run)
    assert call("runs", "list") == 0
    assert "dead, 2 units" in capfd.readouterr().out
    assert call("runs", "show", run) == 0
    assert "state: dead" in capfd.readouterr().out
    with locked(run):
        assert call("runs", "list") == 0
        assert "running, 2 units" in capfd.readouterr().out
        assert call("runs", "resume", run) == 2
        assert "in use by another command" in capfd.readouterr().err
    assert call("runs", "resume", run, "--quiet") == 0
    assert json.loads((run / "status.json").read_text())["state"] == "finished"


def test_a_run_without_a_finished_unit(run: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (run / "records.jsonl").unlink()
    assert call("runs", "show", run) == 0
    assert capfd.readouterr().out == "no finished unit yet\nstate: finished\n"


def test_listing_needs_no_torch(run: Path) -> None:
    code = "import sys; from mlvgm.cli.main import main\ntry: main(['runs', 'list'])\n"
    code += "finally: assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "runs/run" in done.stdout, done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("runs",), ""),
        (("runs", "nosuch"), "nosuch"),
        (("runs", "list", "nowhere"), "cannot read folder 'nowhere'"),
        (("runs", "list", "file"), "cannot read folder 'file'"),
        (("runs", "list", "x" * 300), "cannot read folder"),
        (("runs", "list", "--nosuch"), "--nosuch"),
        (("runs", "show"), "Missing argument"),
        (("runs", "show", "nowhere"), "'nowhere' is not a run directory"),
        (("runs", "show", "file"), "'file' is not a run directory"),
        (("runs", "show", "runs"), "'runs' is not a run directory"),
        (("runs", "show", "empty"), "'empty' is not a run directory"),
        (("runs", "show", "x" * 300), "cannot read run"),
        (("runs", "show", "loop"), "'loop' is not a run directory"),
        (("runs", "show", "runs/run", "more"), "more"),
        (("runs", "show", "runs/run/config.yaml"), "is not a run directory"),
        (("runs", "resume"), "Missing argument"),
        (("runs", "resume", "nowhere"), "'nowhere' is not a run directory"),
        (("runs", "resume", "empty"), "'empty' is not a run directory"),
        (("runs", "resume", "begun"), "was killed before its run began"),
        (("runs", "resume", "runs/run", "--config", "nowhere.yaml"), "nowhere.yaml"),
        (("runs", "resume", "runs/run", "--config", "empty"), "empty"),
        (("runs", "resume", "runs/run", "--config", "file"), "'file'"),
        (("runs", "resume", "x" * 300), "cannot read run"),
        (("report",), "RUN"),
        (("report", "nowhere"), "'nowhere' is not a run directory"),
        (("report", "loop"), "'loop' is not a run directory"),
        (("report", "x" * 300), "cannot read run"),
        (("report", "begun"), "was killed before its run began"),
        (("report", "runs/run", "nowhere"), "'nowhere' is not a run directory"),
        (("report", "runs/run", "runs/run"), "is given twice"),
        (("report", "runs/run", "runs/../runs/run/"), "is given twice"),
        (("report", "runs/run", "other"), "is given twice"),
        (("report", "runs/run", "--out", "empty"), "it is a folder"),
        (("report", "runs/run", "--out", "."), "it is a folder"),
        (("report", "runs/run", "--out", "file/page.html"), "cannot write to output folder"),
        (("report", "runs/run", "--out", "x" * 300), "cannot write"),
        (("report", "runs/run", "--out", f"{'x' * 300}/page.html"), "cannot write"),
        (("report", "runs/run", "--out", "one", "--markdown", "one"), "given for two outputs"),
        (("report", "runs/run", "--out", "one", "--markdown", "./empty/../one"), "given for two outputs"),
        (("report", "runs/run", "--out", "one", "--figures", "one"), "given for two outputs"),
        (("report", "runs/run", "--out", "d/accuracy.png", "--figures", "d"), "a figure's file as well"),
        (("report", "runs/run", "--markdown", "empty"), "it is a folder"),
        (("report", "runs/run", "--markdown", "runs/run/report.html"), "given for two outputs"),
        (("report", "runs/run", "--figures", "file"), "cannot write"),
        (("report", "runs/run", "--figures", "runs/run/images"), "which a report does not replace"),
        (("report", "runs/run", "--out", "runs/run/config.yaml"), "which a report does not replace"),
        (("report", "runs/run", "--markdown", "runs/run/records.jsonl"), "which a report does not replace"),
        (("report", "runs/run", "--out", f"other/images/{FIRST}"), "which a report does not replace"),
        (("report", "runs/run", "--out", "/dev/full"), ""),
        (("run", "score"), "RUN"),
        (("run", "score", "nowhere"), "no such folder or shard"),
        (("run", "score", "x" * 300), ""),
        (("run", "score", "file"), "cannot read shard 'file'"),
        (("run", "score", "loop"), "no such folder or shard"),
        (("run", "score", "begun"), "no shards in"),
        (("run", "score", "empty"), "no shards in"),
        (("run", "score", "runs/run", "--seed", "-1"), "seed"),
        (("run", "score", "runs/run", "--set", "votes=0"), "votes"),
        (("run", "score", "runs/run", "--set", "votes=true"), "votes"),
        (("run", "score", "runs/run", "--set", "rule=loudest"), "rule"),
        (("run", "score", "runs/run", "--set", "limit=3"), "limit"),
        (("run", "score", "runs/run", "--purifier", "nosuch"), "nosuch"),
        (("run", "score", "runs/run", "--classifier", "nosuch"), "nosuch"),
        (("run", "score", "runs/run", "--data", "nosuch"), "nosuch"),
        (("run", "score", "runs/run", "--device", "abacus"), "abacus"),
        (("run", "score", "runs/run", "--eps", "1"), "without --norm"),
        (("run", "score", "runs/run", "--norm", "L2", "--eps", "nan"), "eps"),
        (("run", "score", "runs/run", "--threads", "0"), "threads"),
    ],
)
def test_wrong_uses(run: Path, arguments: tuple[str, ...], said: str, capfd: pytest.CaptureFixture[str]) -> None:
    Path("file").write_text("")
    Path("empty").mkdir()
    Path("begun/images").mkdir(parents=True)
    Path("loop").symlink_to("loop")
    Path("other").symlink_to(run)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    capfd.readouterr()
    code, printed = call(*arguments), capfd.readouterr()
    flat = " ".join(printed.err.replace("│", " ").split())
    assert code == 2 and said in flat and "Traceback" not in printed.err, printed.err
    assert ("internal error" not in printed.err and printed.out.strip() == "") or arguments == ("runs",)
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_a_run_folder_of_a_killed_start_is_begun_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("run/images").mkdir(parents=True)
    Path("run/.config.yaml.abcdefgh.part").write_text("run: pur")
    assert call("run", "purify", *QUICK, "--set", "compare=false", "--out", "run") == 0
    assert call("runs", "show", "run") == 0


def test_resuming_says_that_images_are_lost(run: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (run / "images" / FIRST).unlink()
    assert call("runs", "resume", run, "--quiet") == 0
    assert "warning: the images of 1 finished units are missing" in capfd.readouterr().err
