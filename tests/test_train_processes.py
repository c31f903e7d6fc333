"""Two processes that share each batch train to the weights of one process with the whole batch."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
import shared_training
import torch
from safetensors.torch import load_file

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
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """What one process has trained, and what two have."""
    one, two = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("two")
    shared_training.main(one)
    told = _two_processes(two)
    if told and not any(two.iterdir()):  # they have not met: somebody else has taken the port in between
        told = _two_processes(two)
    assert not told, told
    return one, two


def _two_processes(folder: Path) -> list[str]:
    """Train in two processes; what those said that failed."""
    meeting = {"MASTER_ADDR": "localhost", "MASTER_PORT": str(_port()), "WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-X", "faulthandler", shared_training.__file__, str(folder)],
            env=os.environ | meeting | {"RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    said = [process.communicate(timeout=120)[1] for process in processes]
    return [f"{process.returncode}: {err}" for process, err in zip(processes, said, strict=True) if process.returncode]


NAMES = [name for _, name in shared_training.TRAININGS]
# What a step of Adam moves is 1e-4 to 5e-3; a wrong gradient shows in the first one.
_TOLERANCE = 3e-5


@pytest.mark.parametrize("name", NAMES)
def test_two_processes_train_like_one(folders: tuple[Path, Path], name: str) -> None:
    one, two = (load_file(folder / name / "weights.safetensors") for folder in folders)
    assert one.keys() == two.keys()
    apart = torch.cat([(two[key].double() - one[key].double()).abs().flatten() for key in one])
    # What a batch norm takes away has no gradient but rounding, of which Adam makes whole steps.
    share, largest = (apart > _TOLERANCE).double().mean().item(), apart.max().item()
    assert share < 0.01 and largest < 0.01


@pytest.mark.parametrize("name", NAMES)
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
