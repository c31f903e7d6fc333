"""``mlvgm run purify --protocol``: smoke as a whole, published with capped steps, rigorous as a plan."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import yaml


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from mlvgm.cli.main import main; main()", "run", "purify", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_smoke(tmp_path: Path) -> None:
    done = run("--protocol", "smoke", "--json", "-q", "--out", str(tmp_path / "run"))
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert {row["images"] for row in result["rows"]} == {4}
    assert result["config"]["protocol"] == "smoke"
    assert not (tmp_path / "run" / "published.json").exists()


def test_published_with_capped_steps(tmp_path: Path) -> None:
    capped = {"iterations": 2, "restarts": 1, "steps": 2, "fab_iterations": 1, "switches": "published"}
    options = [part for key, value in capped.items() for part in ("--set", f"attack.{key}={value}")]
    few = ("votes", "eot", "selection")
    options += [part for key in few for part in ("--set", f"{key}=2")]
    folder = tmp_path / "run"
    done = run(
        "--protocol", "published", "--purifier", "noise", "--set", "compare=false", "-n", "3", "-q", "--json",
        "--out", str(folder), *options,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert (config["protocol"], config["clamp"], config["votes"]) == ("published", "none", 2)
    rows = json.loads((folder / "published.json").read_text())
    assert [row["attack"] for row in rows] == [
        "published-autoattack",
        "published-carlini-wagner",
        "published-deepfool",
    ]
    assert all(len(row["distances"]) == 3 and list(row["robust"]) == ["0.5", "1", "1.5", "2"] for row in rows)
    records = [json.loads(line) for line in (folder / "records.jsonl").read_text().splitlines()]
    assert all("published distance" in record["notes"] for record in records)
    again = subprocess.run(
        [sys.executable, "-c", "from mlvgm.cli.main import main; main()", "runs", "resume", str(folder), "-q"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert again.returncode == 0, again.stderr


def test_rigorous_is_its_budget() -> None:
    done = run("--protocol", "rigorous", "--dry-run", "--json", "-q")
    assert done.returncode == 0, done.stderr
    planned = json.loads(done.stdout)
    assert (planned["config"]["budget"], planned["config"]["votes"]) == ("rigorous", 32)
    assert planned["sources"]["budget"] == "protocol rigorous"


def test_slips_are_one_sentence() -> None:
    done = run("--protocol", "publisht", "--dry-run")
    assert done.returncode == 2
    assert "publisht" in done.stderr
    assert "Traceback" not in done.stderr
