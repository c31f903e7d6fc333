"""The loop of a training: every step once, checkpoints that lead to the same end, a log, refusals."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from mlvgm.errors import CheckFailed, InputError
from mlvgm.latents import ImageSpec
from mlvgm.protocols.data import DataInfo, Split
from mlvgm.training.checkpoint import save_checkpoint
from mlvgm.training.config import TrainingConfig, WarmCosineConfig
from mlvgm.training.log import draw_figures, read_figures
from mlvgm.training.loop import run_steps
from mlvgm.training.schedule import set_rate, warm_cosine
from mlvgm.training.session import Session


class Options(TrainingConfig):
    FREE: ClassVar[frozenset[str]] = TrainingConfig.FREE | {"label"}

    label: str = ""
    factor: float = 3.9
    start: str = ""


class Grey:
    """Images of one grey."""

    info = DataInfo("grey", ImageSpec(1, 2, 2), ("a",), "MIT", "memory")

    def __init__(self, grey: float = 0.5) -> None:
        self.grey = grey

    def size(self, split: Split) -> int:
        return 20

    def batch(self, split: Split, ids: Sequence[int]) -> tuple[Tensor, Tensor]:
        return torch.full((len(ids), 1, 2, 2), self.grey), torch.zeros(len(ids), dtype=torch.int64)


class Sum:
    """Its state is a chaotic function of every step, so that a step lost or done twice shows."""

    def __init__(self) -> None:
        self.value = torch.tensor(0.3, dtype=torch.double)
        self.seen: list[int] = []
        self.parts = {"part": self}

    def state_dict(self) -> dict[str, Any]:
        return {"value": self.value}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.value = state_dict["value"]

    def step(self, number: int) -> Mapping[str, float]:
        self.seen.append(number)
        self.value = 3.9 * self.value * (1 - self.value) * (1 - 1e-3 * number)
        return {"value": self.value.item()}


def run(
    training: Any, folder: Path, *, stop: int | None = None, seed: int = 0, data: Any = None, **options: Any
) -> float:
    """Run, killed after ``stop`` steps if that is given."""

    def progress(step: int, steps: int, figures: Mapping[str, float]) -> None:
        if step == stop:
            raise KeyboardInterrupt

    config = Options(**{"steps": 9, "batch": 4, "checkpoint_every": 0.0, **options})
    session = Session("toy", "sum", config, data or Grey(), folder, seed)
    return run_steps(training, session, resume=True, progress=progress)


def test_killed_and_resumed_it_ends_like_an_uninterrupted_training(tmp_path: Path) -> None:
    whole, first, second = Sum(), Sum(), Sum()
    (tmp_path / "whole").mkdir()
    run(whole, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(first, tmp_path, stop=4)
    run(second, tmp_path)
    assert (whole.seen, first.seen, second.seen) == ([*range(9)], [*range(4)], [*range(4, 9)])
    assert torch.equal(second.value, whole.value)
    finished, stored = Sum(), torch.load(tmp_path / "checkpoint.pt", weights_only=True)["state"]
    assert run(finished, tmp_path) > stored["seconds"] > 0 and finished.seen == []
    assert torch.equal(finished.value, whole.value)


def test_checkpoints_are_as_rare_as_asked_for_but_one_follows_the_last_step(tmp_path: Path) -> None:
    first, second = Sum(), Sum()
    with pytest.raises(KeyboardInterrupt):
        run(first, tmp_path, stop=4, checkpoint_every=1e6)
    assert not (tmp_path / "checkpoint.pt").exists()
    run(second, tmp_path, checkpoint_every=1e6)
    assert second.seen == [*range(9)] and (tmp_path / "checkpoint.pt").exists()


def test_every_step_is_logged_once_however_often_it_was_done(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(Sum(), tmp_path, stop=4, checkpoint_every=1e6)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 5, "val')  # what a killed process leaves
    run(Sum(), tmp_path)
    rows = read_figures(tmp_path)
    expected = Sum()
    assert [row["step"] for row in rows] == [*range(1, 10)]
    assert [row["value"] for row in rows] == [expected.step(number)["value"] for number in range(9)]
    assert [row["seconds"] for row in rows] == sorted(row["seconds"] for row in rows)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"steps": 10}, "steps 9 → 10"),
        ({"seed": 1}, "seed 0 → 1"),
        ({"factor": 2.0}, r"factor 3\.9 → 2\.0"),
        ({"flips": True}, "flips False → True"),
        ({"data": Grey(0.25)}, "another training: content "),
    ],
)
def test_a_checkpoint_of_another_training_is_refused(tmp_path: Path, changed: dict[str, Any], message: str) -> None:
    run(Sum(), tmp_path)
    with pytest.raises(InputError, match=message):
        run(Sum(), tmp_path, **changed)


def test_a_file_that_an_option_names_is_known_by_its_content(tmp_path: Path) -> None:
    start = tmp_path / "start.safetensors"
    start.write_bytes(b"one")
    run(Sum(), tmp_path, start=str(start))
    start.write_bytes(b"other")
    with pytest.raises(InputError, match=r"another training: file .*start\.safetensors"):
        run(Sum(), tmp_path, start=str(start))


def test_options_that_change_no_step_may_change(tmp_path: Path) -> None:
    run(Sum(), tmp_path)
    finished = Sum()
    run(finished, tmp_path, label="other", checkpoint_every=7.0)
    assert finished.seen == []


def test_checkpoints_of_another_version_and_broken_ones_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "checkpoint.pt"
    torch.save({"identity": {"seed": 0}, "step": 3}, file)
    with pytest.raises(InputError, match="is a checkpoint of format 1, this version of mlvgm goes on from format 2"):
        run(Sum(), tmp_path)
    file.write_bytes(b"broken")
    with pytest.raises(InputError, match=r"checkpoint\.pt: not a readable training checkpoint"):
        run(Sum(), tmp_path)
    save_checkpoint(file, {"done": 3}, identity={})
    with pytest.raises(InputError, match="another training: batch None → 4"):
        run(Sum(), tmp_path)


def test_figures_that_are_not_finite_stop_it_before_they_are_saved(tmp_path: Path) -> None:
    part = Sum()
    part.value = torch.tensor(torch.nan)
    with pytest.raises(CheckFailed, match="diverged at step 1"):
        run(part, tmp_path)
    assert not (tmp_path / "checkpoint.pt").exists() and read_figures(tmp_path) == []


def test_figures_are_drawn_where_matplotlib_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert draw_figures(tmp_path) is None
    lines = [{"step": 1, "seconds": 0.1, "loss": 2.0}, {"step": 2, "seconds": 0.2, "loss": 1.0, "accuracy": 0.5}]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert draw_figures(tmp_path) is None and not (tmp_path / "metrics.png").exists()
    monkeypatch.undo()
    pytest.importorskip("matplotlib")
    figure = draw_figures(tmp_path)
    assert figure is not None and figure.read_bytes().startswith(b"\x89PNG")


def test_the_rate_rises_once_and_falls_to_nothing() -> None:
    factors = [warm_cosine(step, steps=100, warmup=10) for step in range(100)]
    assert factors[:10] == sorted(factors[:10]) and factors[9] == 1
    assert factors[10:] == sorted(factors[10:], reverse=True) and 0 < factors[99] < 1e-3
    assert warm_cosine(0, steps=1, warmup=0) == 1
    config = WarmCosineConfig(steps=100, batch=1, learning_rate=0.5, warmup_steps=10)
    assert [config.rate(step) for step in range(100)] == [0.5 * factor for factor in factors]


def test_groups_of_parameters_keep_their_factor() -> None:
    groups: list[dict[str, Any]] = [{"params": [torch.nn.Parameter(torch.zeros(1))]} for _ in range(2)]
    groups[1]["factor"] = 0.1
    optimiser = torch.optim.SGD(groups, lr=1.0)
    set_rate(0.5, optimiser)
    assert [group["lr"] for group in optimiser.param_groups] == [0.5, 0.05]
