"""The loop of a training: every step once, checkpoints that lead to the same end, refusals."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from mlvgm.errors import CheckFailed, InputError
from mlvgm.protocols.train import TrainContext
from mlvgm.training.loop import run_steps, warm_cosine


class Sum:
    """Its state is a chaotic function of every step, so that a step lost or done twice shows."""

    def __init__(self) -> None:
        self.value = torch.tensor(0.3, dtype=torch.double)
        self.seen: list[int] = []

    def state_dict(self) -> dict[str, Any]:
        return {"value": self.value}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.value = state_dict["value"]

    def step(self, number: int) -> Mapping[str, float]:
        self.seen.append(number)
        self.value = 3.9 * self.value * (1 - self.value) * (1 - 1e-3 * number)
        return {"value": self.value.item()}


def run(part: Sum, folder: Path, *, steps: int = 9, stop: int | None = None, every: float = 0.0, **extra: Any) -> float:
    """Run, killed after ``stop`` steps if that is given."""

    def progress(step: int, steps: int, metrics: Mapping[str, float]) -> None:
        if step == stop:
            raise KeyboardInterrupt

    context = TrainContext(folder, resume=True, progress=progress, seed=extra.pop("seed", 0))
    return run_steps(part.step, steps=steps, parts={"part": part}, context=context, identity=extra, every=every)


def test_killed_and_resumed_it_ends_like_an_uninterrupted_training(tmp_path: Path) -> None:
    whole, first, second = Sum(), Sum(), Sum()
    (tmp_path / "whole").mkdir()
    run(whole, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(first, tmp_path, stop=4)
    run(second, tmp_path)
    assert (whole.seen, first.seen, second.seen) == ([*range(9)], [*range(4)], [*range(4, 9)])
    assert torch.equal(second.value, whole.value)
    finished = Sum()
    assert run(finished, tmp_path) > 0 and finished.seen == []
    assert torch.equal(finished.value, whole.value)


def test_checkpoints_are_as_rare_as_asked_for_but_one_follows_the_last_step(tmp_path: Path) -> None:
    first, second = Sum(), Sum()
    with pytest.raises(KeyboardInterrupt):
        run(first, tmp_path, stop=4, every=1e6)
    assert not (tmp_path / "checkpoint.pt").exists()
    run(second, tmp_path, every=1e6)
    assert second.seen == [*range(9)] and (tmp_path / "checkpoint.pt").exists()


@pytest.mark.parametrize(("changed", "message"), [({"steps": 10}, "steps 9 → 10"), ({"seed": 1}, "seed 0 → 1")])
def test_a_checkpoint_of_another_training_is_refused(tmp_path: Path, changed: dict[str, Any], message: str) -> None:
    run(Sum(), tmp_path)
    with pytest.raises(InputError, match=message):
        run(Sum(), tmp_path, **changed)


def test_figures_that_are_not_finite_stop_it_before_they_are_saved(tmp_path: Path) -> None:
    part = Sum()
    part.value = torch.tensor(torch.nan)
    with pytest.raises(CheckFailed, match="diverged at step 1"):
        run(part, tmp_path)
    assert not (tmp_path / "checkpoint.pt").exists()


def test_the_rate_rises_once_and_falls_to_nothing() -> None:
    factors = [warm_cosine(step, steps=100, warmup=10) for step in range(100)]
    assert factors[:10] == sorted(factors[:10]) and factors[9] == 1
    assert factors[10:] == sorted(factors[10:], reverse=True) and 0 < factors[99] < 1e-3
    assert warm_cosine(0, steps=1, warmup=0) == 1
