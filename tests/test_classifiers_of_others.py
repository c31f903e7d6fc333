"""``--classifier import:…`` from the command line: what other people's modules do, and how the run ends."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from mlvgm.cli.main import main

MODULES = '''
"""Classifiers of somebody else."""

import sys

import torch
from torch import nn
from torch.nn import functional as F


class Linear(nn.Module):
    calls = 0

    def __init__(self):
        super().__init__()
        weights = torch.randn(10, 64, generator=torch.Generator().manual_seed(0))
        self.register_buffer("weights", weights)

    def forward(self, images):
        return F.adaptive_avg_pool2d(images, 8).flatten(1) @ self.weights.T


class Noisy(Linear):
    """One noise for all images of a call."""

    def forward(self, images):
        return super().forward(images + 0.2 * torch.randn(1, 1, *images.shape[2:]))


class Prints(Linear):
    def forward(self, images):
        print("chatter")
        return super().forward(images)


class Detached(Linear):
    def forward(self, images):
        return super().forward(images).detach()


class Late(Linear):
    """Ends everything when it sees the second unit, which is smaller."""

    def forward(self, images):
        if len(images) == 2:
            sys.exit(0)
        return super().forward(images)


class Early(Linear):
    """Takes single images and fours, as when it is tried."""

    def forward(self, images):
        if len(images) == 3:
            raise ValueError("not three")
        return super().forward(images)
'''


@pytest.fixture
def people(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "peoples_classifiers.py").write_text(MODULES)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "peoples_classifiers", raising=False)
    return "import:peoples_classifiers"


def run(out: Path, classifier: str, *arguments: str) -> int:
    given = ["--purifier", "none", "--set", "compare=false", "--threads", "1", "--json", "--out", str(out)]
    with pytest.raises(SystemExit) as stop:
        main(["run", "purify", "--classifier", classifier, *given, *arguments])
    assert isinstance(stop.value.code, int)
    return stop.value.code


def test_a_random_classifier_is_voted_on_and_the_plan_says_so(
    people: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path / "run", f"{people}:Noisy", "--attack", "fgsm", "-n", "6", "--set", "votes=3") == 0
    result = json.loads(capsys.readouterr().out)
    record = json.loads((tmp_path / "run" / "records.jsonl").read_text())
    # Fresh single draws disagree: nobody took it for deterministic.
    assert any(0 < share < 1 for share in record["clean_single"])
    assert record["forwards"] > 2 * 6 and result["rows"][0]["images"] == 6
    plan = json.loads((tmp_path / "run" / "plan.json").read_text())
    assert "draws its noise once a call, so every draw is a call of its own" in plan["classifier"]


def test_stdout_stays_one_object_whatever_a_classifier_prints(
    people: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path / "run", f"{people}:Prints", "--attack", "fgsm", "-n", "2", "--quiet") == 0
    printed = capsys.readouterr()
    assert isinstance(json.loads(printed.out), dict) and "chatter" in printed.err
    plan = json.loads((tmp_path / "run" / "plan.json").read_text())
    assert plan["classifier"] == f"{people}:Prints, deterministic"


def test_without_gradients_only_scores_are_attacked(
    people: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path / "run", f"{people}:Detached", "--attack", "apgd-ce", "-n", "2") == 2
    printed = capsys.readouterr()
    assert not printed.out and not (tmp_path / "run").exists()
    assert "attack 'apgd-ce' follows gradients" in printed.err and "--attack square" in printed.err
    assert "classifier peoples_classifiers:Detached" in printed.err
    square = ["--attack", "square", "--set", "attack.queries=5", "-n", "2"]
    assert run(tmp_path / "run", f"{people}:Detached", *square) == 0


def test_a_classifier_that_fails_late_leaves_what_was_recorded(
    people: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--attack", "fgsm", "-n", "6", "--set", "block=4"]
    assert run(tmp_path / "run", f"{people}:Late", *given) == 3
    printed = capsys.readouterr()
    assert not printed.out and "classifier peoples_classifiers:Late does not take images (2, 1, 32, 32)" in printed.err
    assert "SystemExit: 0" in printed.err and "runs resume" in printed.err
    assert len((tmp_path / "run" / "records.jsonl").read_text().splitlines()) == 1
    assert json.loads((tmp_path / "run" / "status.json").read_text())["state"] == "stopped"
    # Before anything is recorded it is an error of the input.
    assert run(tmp_path / "other", f"{people}:Early", "--attack", "fgsm", "-n", "3") == 2
    assert "ValueError: not three" in capsys.readouterr().err
