"""Trainings of a few steps, whole or killed, for tests of what trains."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from mlvgm.plugins.load import built
from mlvgm.protocols.train import Trained
from mlvgm.training.run import train
from mlvgm.training.session import Session
from mlvgm.training.trainers import choose
from mlvgm.weights.file import read_weights


def begin(kind: str, name: str, options: Mapping[str, Any], data: Any, folder: Path, *, seed: int = 0) -> Any:
    """A training before its first step."""
    chosen = choose(kind, name, options)
    return built(chosen.trainer, chosen.config, session=Session(kind, name, chosen.config, data, folder, seed))


def figures(
    kind: str, name: str, options: Mapping[str, Any], data: Any, folder: Path, *, stop: int | None = None, **how: Any
) -> list[dict[str, float]]:
    """The figures of each step; ``stop`` kills the training after that step."""
    return run(kind, name, options, data, folder, stop=stop, **how)[0]


def run(
    kind: str, name: str, options: Mapping[str, Any], data: Any, folder: Path, *, stop: int | None = None, **how: Any
) -> tuple[list[dict[str, float]], Trained]:
    """The figures of each step and what is left; ``stop`` kills the training after that step."""
    seen: list[dict[str, float]] = []

    def progress(step: int, steps: int, found: Mapping[str, float]) -> None:
        seen.append(dict(found))
        if step == stop:
            raise KeyboardInterrupt

    chosen = choose(kind, name, {"checkpoint_every": 0.0, **options})
    return seen, train(chosen, data, folder=folder, progress=progress, **how)


def check_killed_and_resumed(
    kind: str, name: str, options: Mapping[str, Any], data: Any, folder: Path, *, stop: int
) -> None:
    """A training that is killed after ``stop`` steps and resumed leaves the same files, bit for bit."""
    whole = figures(kind, name, options, data, folder / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(kind, name, options, data, folder / "parts", stop=stop)
    assert figures(kind, name, options, data, folder / "parts", resume=True) == whole[stop:]
    made = sorted((folder / "whole").glob("*.safetensors"))
    assert made
    for path in made:
        assert path.read_bytes() == (folder / "parts" / path.name).read_bytes(), path.name


def tensors(folder: Path) -> Mapping[str, Any]:
    """Those of the weights in ``folder``."""
    return read_weights(folder / "weights.safetensors").tensors
