"""Two processes that share each batch train to the weights of one process with the whole batch."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import shared_training
import torch
from torch import Tensor

from mlvgm.errors import ConfigError
from mlvgm.runs.workers import Workers
from mlvgm.training.log import read_figures
from mlvgm.training.run import train
from mlvgm.training.session import Session
from mlvgm.training.trainers import choose


def _port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("localhost", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    """What one process has trained, and what two have."""
    one, two = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("two")
    shared_training.main(one)
    meeting = {"MASTER_ADDR": "localhost", "MASTER_PORT": str(_port()), "WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen(
            [sys.executable, shared_training.__file__, str(two)],
            env=os.environ | meeting | {"RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    for process in processes:
        _, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
    yield one, two


# What a step of Adam moves is about 3e-3; a wrong gradient shows in the first one.
_TOLERANCE = 1e-4
_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


def _gradients(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """Size of each parameter's gradients, as the optimiser remembers it."""
    network, optimiser = next(iter(checkpoint.values())), checkpoint["optimiser"]
    names = [name for name in network if not name.endswith(_STATISTICS)]
    return {name: optimiser["state"][number]["exp_avg_sq"].sqrt() for number, name in enumerate(names)}


@pytest.mark.parametrize("name", [name for _, name in shared_training.TRAININGS])
def test_two_processes_train_like_one(folders: tuple[Path, Path], name: str) -> None:
    one, two = (torch.load(folder / name / "checkpoint.pt", weights_only=True)["state"]["parts"] for folder in folders)
    network = next(iter(one))
    gradients = _gradients(one)
    largest, compared = max(float(gradient.max()) for gradient in gradients.values()), 0
    for key, expected in one[network].items():
        difference = (two[network][key].double() - expected.double()).abs()
        if key in gradients:
            # What a batch norm takes away has no gradient but rounding, of which Adam makes whole steps.
            difference = difference[gradients[key] > 1e-6 * largest]
            compared += difference.numel()
        elif key.endswith("running_mean"):
            difference = difference / 10  # follows such a parameter
        assert not difference.numel() or difference.max() < _TOLERANCE, key
    assert compared > 0.3 * sum(gradient.numel() for gradient in gradients.values())


@pytest.mark.parametrize("name", [name for _, name in shared_training.TRAININGS])
def test_figures_are_those_of_the_whole_batch(folders: tuple[Path, Path], name: str) -> None:
    one, two = (read_figures(folder / name) for folder in folders)
    assert len(one) == 4
    for expected, found in zip(one, two, strict=True):
        del expected["seconds"], found["seconds"]
        assert found == pytest.approx(expected, rel=1e-5)


def test_a_training_that_cannot_be_shared_says_so(tmp_path: Path) -> None:
    chosen = choose("generator", "stylegan2", {"steps": 1})
    with pytest.raises(ConfigError, match="training generator stylegan2 takes one process, came 2"):
        train(chosen, shared_training.Noise(), folder=tmp_path / "out", workers=Workers(0, 2))
    assert not (tmp_path / "out").exists()


def test_batches_are_shared_equally_or_not_at_all(tmp_path: Path) -> None:
    config = choose("classifier", "fashion-cnn", {"batch": 16}).config
    sessions = [
        Session("classifier", "fashion-cnn", config, shared_training.Noise(), tmp_path, workers=Workers(rank, 4))
        for rank in range(4)
    ]
    assert [i for session in sessions for i in range(16)[session.rows(16)]] == [*range(16)]
    with pytest.raises(ConfigError, match=r"4 processes cannot share batches of 18 images.*train\.batch"):
        sessions[0].rows(18)
