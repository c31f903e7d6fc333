"""``mlvgm audit``: from the command line to table, card and exit code."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from mlvgm.cli.main import main
from mlvgm.plugins.index import Index

MODULES = '''
"""Defences of somebody else."""

import torch
from torch import nn

from mlvgm.plugins.load import build

INFO = build("datasets", "fashion-mnist").info


class Noisy(nn.Module):
    """The shipped classifier behind Gaussian noise."""

    def __init__(self, softmax=False):
        super().__init__()
        self.classifier = build("classifiers", "fashion-cnn", data=INFO)
        self.softmax = softmax

    def forward(self, images):
        logits = self.classifier((images + 0.05 * torch.randn_like(images)).clamp(0, 1))
        return logits.softmax(1) if self.softmax else logits


class Rounding(Noisy):
    """Bytes in between, so that no gradient passes."""

    def forward(self, images):
        return self.classifier((images * 255).round() / 255)


def softmax():
    return Noisy(softmax=True)


class NotNumbers(Rounding):
    """NaN between the grey levels of a byte, where only attacks come."""

    def forward(self, images):
        off = ((images * 255 - (images * 255).round()).abs() > 1e-3).flatten(1).any(1)
        return torch.where(off[:, None], torch.nan, self.classifier(images))


class NeverNumbers(Rounding):
    def forward(self, images):
        return torch.nan * self.classifier(images)


number = 3
'''


@pytest.fixture
def people(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "peoples_defences.py").write_text(MODULES)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "peoples_defences", raising=False)
    return "peoples_defences"


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as stop:
        main(["audit", "-n", "12", "--set", "attack.iterations=8", "--threads", "1", *arguments])
    assert isinstance(stop.value.code, int)
    return stop.value.code


def report(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    out: dict[str, Any] = json.loads(capsys.readouterr().out)
    return out


def test_a_sound_baseline_is_believed_and_leaves_a_card(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "card"
    names = ("gradient.path", "leak.images", "leak.samples", "compliance", "artefacts")
    only, left = [f"--only={name}" for name in names], len(Index.installed().names("checks")) - len(names)
    assert run("--purifier", "none", *only, "--out", str(out)) == 0
    printed = capsys.readouterr()
    assert f"no verdict: 5 checks passed and none failed ({left} checks left out)" in printed.out
    assert "left out: active.test, adaptive.latents, b" in printed.out
    assert "gradient.path" in printed.out and "auditing" in printed.err
    assert {path.name for path in out.iterdir()} == {
        "audit.json",
        "audit.md",
        "audit.html",
        "adversarial.safetensors",
    }
    plain = json.loads((out / "audit.json").read_text())
    assert plain["schema"] == 1 and plain["believable"] is None and plain["config"]["limit"] == 12
    assert len(plain["left_out"]) == left and "control.null" in plain["left_out"]
    assert [each["check"] for each in plain["findings"]] == [
        "gradient.path",
        "compliance",
        "artefacts",
        "leak.images",
        "leak.samples",
    ]
    assert "| 1 | `gradient.path` | pass |" in (out / "audit.md").read_text()
    assert plain["verdict"] in (out / "audit.html").read_text()


def test_an_imported_random_module_is_audited_as_it_is(people: str, capsys: pytest.CaptureFixture[str]) -> None:
    only = [f"--only={name}" for name in ("gradient", "randomness", "active", "control", "leak", "transfer", "loss")]
    assert run(f"{people}:Noisy", *only, "--json", "--quiet") == 0
    plain = report(capsys)
    found = {each["check"]: each["status"] for each in plain["findings"]}
    assert plain["believable"] is None and "fail" not in found.values()
    assert found["gradient.path"] == found["active.test"] == "pass"
    (active,) = (each for each in plain["findings"] if each["check"] == "active.test")
    assert active["values"]["planted"] >= 10, "fewer are not judged"
    assert found["transfer.undefended"] == "pass", "from the reference of the task, which needs no look inside"
    assert found["transfer.surrogate"] == "not run"
    # Told which classifier is inside, the gradient past its noise is another.
    only = ["--only=transfer.undefended", "--only=gradient.kinds"]
    assert run(f"{people}:Noisy", *only, "--classifier", "fashion-cnn", "--json", "--quiet") == 0
    kinds, transfer = report(capsys)["findings"]
    assert kinds["status"] == transfer["status"] == "pass"
    assert set(kinds["values"]["robust"]) == {"exact", "blind"} and "BPDA is not possible" in kinds["evidence"]


@pytest.mark.slow
def test_every_check_of_an_imported_module_with_its_classifier(people: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(f"{people}:Noisy", "--classifier", "fashion-cnn", "--json", "--quiet") == 0
    plain = report(capsys)
    assert plain["believable"] is True and plain["left_out"] == []
    assert len(plain["findings"]) == len(Index.installed().names("checks"))
    aside = {each["check"]: each["evidence"] for each in plain["findings"] if each["status"] == "not run"}
    assert set(aside) == {"baselines", "adaptive.latents", "transfer.surrogate"}
    assert aside["baselines"] == "an imported module does not show its purified images"


def test_baselines_of_an_imported_module_do_not_break(people: str, capsys: pytest.CaptureFixture[str]) -> None:
    only = ["--only=baselines", "--only=budget"]
    assert run(f"{people}:Noisy", "--classifier", "fashion-cnn", *only, "--json", "--quiet") == 0
    baselines, budget = report(capsys)["findings"]
    assert baselines["status"] == "not run" and budget["status"] == "pass"
    assert baselines["evidence"] == "an imported module does not show its purified images"


def test_logits_that_are_no_numbers_are_found_wherever_they_come(
    people: str, capsys: pytest.CaptureFixture[str]
) -> None:
    only = [f"--only={name}" for name in ("gradient.path", "blackbox.square", "loss.sane", "compliance")]
    assert run(f"{people}:NotNumbers", *only, "--json", "--quiet") == 1
    findings = report(capsys)["findings"]
    assert {each["status"] for each in findings} == {"fail"} and len(findings) == 4
    assert all(f"{people}:NotNumbers gives NaN or infinite logits" in each["evidence"] for each in findings)


def test_a_stopped_audit_shows_and_keeps_what_it_has_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from mlvgm_robust.checks.leak_samples import LeakSamples

    before = ""

    def stopped(*arguments: Any, **options: Any) -> None:
        nonlocal before
        before = capsys.readouterr().out
        raise KeyboardInterrupt

    monkeypatch.setattr(LeakSamples, "__call__", stopped)
    card = tmp_path / "card"
    only = ["--only=budget", "--only=leak.images", "--only=leak.samples"]
    assert run("--purifier", "none", *only, "--out", str(card)) == 130
    assert [line.split()[:3] for line in before.splitlines() if line[0] != " " or line[1] != " "] == [
        ["19", "budget", "pass"],
        ["–", "leak.images", "pass"],
    ]
    printed = capsys.readouterr()
    assert printed.out == "" and f"stopped: what was found so far is kept in {card / 'audit.json'}" in printed.err
    plain = json.loads((card / "audit.json").read_text())
    found = [(each["check"], each["status"]) for each in plain["findings"]]
    assert found == [("budget", "pass"), ("leak.images", "pass"), ("leak.samples", "not run")]
    assert plain["believable"] is None and plain["verdict"].startswith("no verdict: 2 checks passed")


def test_findings_of_an_audit_for_machines_come_on_the_other_stream(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--purifier", "none", "--only=budget", "--json") == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["findings"][0]["check"] == "budget"
    assert "\npass: budget: " in printed.err


def test_what_a_library_returned_is_not_passed_over_in_silence(capsys: pytest.CaptureFixture[str]) -> None:
    only = ["--purifier", "none", "--only=compliance", "--json", "--quiet"]
    with pytest.raises(SystemExit):
        main(["audit", "-n", "4", "--threads", "1", "--attack", "torchattacks:PGD?steps=2", *only])
    (finding,) = report(capsys)["findings"]
    assert finding["status"] == "pass" and finding["values"]["mended"] == 0
    assert "had to be brought into ball and box for 0 images" in finding["evidence"]


@pytest.mark.parametrize(("name", "check"), [("softmax", "loss.sane"), ("Rounding", "gradient.path")])
def test_broken_modules_exit_with_one(people: str, name: str, check: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(f"{people}:{name}", "--only", check) == 1
    printed = capsys.readouterr()
    assert f"believable: no because {check}: " in printed.out
    assert f"error: not believable: {check}" in printed.err


def test_checks_take_options_and_may_be_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--set", "check.statistics.least=12", "--set", "check.statistics.seeds=3", "--skip", "sanity.unbounded"]
    assert run("--purifier", "none", "--only", "statistics", "--only", "sanity", *options, "--json", "--quiet") == 0
    found = {each["check"]: each for each in report(capsys)["findings"]}
    assert found["statistics"]["status"] == "pass" and found["statistics"]["values"]["images"] == 12
    assert len(found["statistics"]["values"]["seeds"]) == 3
    assert set(found) == {"statistics", "sanity.eps", "sanity.iterations", "sanity.restarts"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--only", "sanity.epz"], "unknown check 'sanity.epz' (did you mean 'sanity.eps'?"),
        (["--set", "check.sanity.eps.radius=1"], "check.sanity.eps.radius: unknown option"),
        (["--set", "check.nothing.x=1"], "unknown option 'check.nothing.x'"),
        (["--only", "budget", "--skip", "budget"], "no check is left to run"),
        (["nowhere_to_be_found:thing"], "module nowhere_to_be_found does not import"),
        (["some:thing", "--generator", "nvae"], "has no effect on some:thing"),
        (["--set", "attack.nothing=1"], "attack.nothing: unknown option"),
        (["--set", "radii=[0.5,1]"], "an audit is of one attack on one defence"),
        (["--budget", "huge"], "unknown budget 'huge'"),
        (["--attack", "apgd"], "unknown attack 'apgd'"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_two(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    imports = any(":" in argument for argument in arguments)
    assert run(*arguments, *([] if imports else ["--purifier", "none"])) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("error: ") and printed.count("\n") == 1
    assert words in printed


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("NeverNumbers", "NeverNumbers gives NaN or infinite logits"),
        (
            "number",
            "expected an nn.Module, a Defence or a function that makes one from peoples_defences:number, came int",
        ),
    ],
)
def test_what_is_no_defence_is_refused(people: str, name: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(f"{people}:{name}") == 2
    printed = capsys.readouterr().err
    assert words in printed and printed.startswith("error: ") and printed.count("\n") == 1


@pytest.mark.slow
def test_our_own_defence_passes_its_soundness_checks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["audit", "--generator", "nvae", "--threads", "1", "--json", "--quiet", "--out", str(tmp_path / "card")])
    plain = report(capsys)
    found = {each["check"]: each for each in plain["findings"]}
    assert [each["evidence"] for each in plain["findings"] if each["status"] == "fail"] == []
    assert stop.value.code == 0 and plain["believable"] and plain["left_out"] == []
    assert len(found) == len(Index.installed().names("checks"))
    assert [each["evidence"] for each in plain["findings"] if "it broke" in each["evidence"]] == []
    assert {each["check"] for each in plain["findings"] if each["status"] == "not run"} <= {"adaptive.latents"}
    assert found["gradient.path"]["values"]["precision"] == "float64"
