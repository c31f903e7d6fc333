"""``mlvgm run purify --protocol``: smoke as a whole, published with capped steps, rigorous as a plan."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from mlvgm.cli.main import main
from mlvgm_robust.audit.attempts import AuditContext
from mlvgm_robust.audit.finding import CheckInfo, Finding, Status
from mlvgm_robust.audit.subject import Subject


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
    page, fixed = (folder / "report.html").read_text(), rows[0]["robust"]["0.5"]
    assert "Published metric" in page and "L2 &gt; 1.5" in page and f"{100 * fixed['value']:.1f} [" in page
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


@dataclass(frozen=True)
class Says:
    """A check that does what it is told."""

    status: Status

    @property
    def info(self) -> CheckInfo:
        return CheckInfo("says", (1,))

    def __call__(self, subject: Subject, *, context: AuditContext) -> Finding:
        attempt = context.attempt(subject)
        return self.info.finding(self.status, f"of {len(subject)} images under {attempt.info.name}")


@pytest.mark.parametrize(("status", "code"), [("pass", 0), ("fail", 1)])
def test_rigorous_ends_in_an_audit_of_the_first_defence(
    tmp_path: Path,
    status: Status,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("mlvgm_robust.audit.examine.build_checks", lambda chosen, **options: ([Says(status)], []))
    folder = tmp_path / "run"
    options = ["--purifier", "none", "--attack", "fgsm", "-n", "4", "--threads", "1", "--set", "compare=false"]
    with pytest.raises(SystemExit) as stopped:
        main(["run", "purify", "--protocol", "rigorous", *options, "--json", "-q", "--out", str(folder)])
    printed = capfd.readouterr()
    assert stopped.value.code == code
    assert json.loads(printed.out)["run"] == str(folder), "one object on stdout"
    card = json.loads((folder / "audit" / "audit.json").read_text())
    assert card["verdict"] in printed.err and card["believable"] is (code == 0)
    assert card["findings"][0]["evidence"] == "of 4 images under fgsm" and "none under fgsm" in card["subject"]
    assert (json.dumps({"error": "not believable: says", "hint": None, "exit": 1}) in printed.err) == (code == 1)


def test_slips_are_one_sentence() -> None:
    done = run("--protocol", "publisht", "--dry-run")
    assert done.returncode == 2
    assert "publisht" in done.stderr
    assert "Traceback" not in done.stderr
