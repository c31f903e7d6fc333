"""A training of a third party from choosing it to weights, log and card, all but its steps by core."""

from __future__ import annotations

import dataclasses
import errno
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from mlvgm.errors import ConfigError, InputError, PluginError, Stopped
from mlvgm.plugins.index import Index
from mlvgm.runs.workers import Workers
from mlvgm.training.checkpoint import save_checkpoint
from mlvgm.training.log import read_figures
from mlvgm.training.run import train
from mlvgm.training.trainers import choose
from toy_training import DESCRIPTOR, Greys


@pytest.fixture(autouse=True)
def index(monkeypatch: pytest.MonkeyPatch) -> Index:
    """Nothing is installed but the toy."""
    found = Index()
    found.add("trainers", "generators-pixel", DESCRIPTOR)
    monkeypatch.setattr(Index, "installed", classmethod(lambda cls, **how: found))
    return found


def test_it_learns_and_leaves_weights_card_and_log(tmp_path: Path) -> None:
    chosen = choose("generator", "pixel", {})
    trained = train(chosen, Greys(), folder=tmp_path / "out", seed=5, data_options={"name": "greys:two", "dark": True})
    assert load_file(trained.weights)["pixel"].item() == pytest.approx(0.25, abs=0.02)
    assert trained.metrics["error"] == pytest.approx(0.0025, abs=1e-3) and trained.metrics["cpu_seconds"] > 0
    assert trained.use == (f"generator.weights={trained.weights}",)
    card = trained.card.read_text()
    assert card.startswith("# a pixel\n\nOne pixel for all.\n") and "- squared error 0.00" in card
    assert "`mlvgm train generator pixel --data greys:two --seed 5 --set 'data.dark=true'`" in card
    assert trained.log == tmp_path / "out" / "metrics.jsonl" and len(read_figures(tmp_path / "out")) == 80


@pytest.mark.parametrize("stop", [1, 17, 39])
def test_killed_and_resumed_ends_with_the_same_weights(tmp_path: Path, stop: int) -> None:
    def kill(step: int, steps: int, figures: Mapping[str, float]) -> None:
        if step == stop:
            raise KeyboardInterrupt

    chosen = choose("generator", "pixel", {"checkpoint_every": 0.0})
    whole = train(chosen, Greys(), folder=tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(chosen, Greys(), folder=tmp_path / "parts", progress=kill)
    torch.rand(5)  # the global random state plays no part
    parts = train(chosen, Greys(), folder=tmp_path / "parts", resume=True)
    assert whole.weights.read_bytes() == parts.weights.read_bytes()


def test_refusals_leave_nothing_behind(tmp_path: Path) -> None:
    class Sample(Greys):
        info = dataclasses.replace(Greys.info, sample=True)

    chosen, folder = choose("generator", "pixel", {}), tmp_path / "out"
    with pytest.raises(InputError, match="only a bundled sample"):
        train(chosen, Sample(), folder=folder)
    with pytest.raises(InputError, match="nothing to resume"):
        train(chosen, Greys(), folder=folder, resume=True)
    with pytest.raises(ConfigError, match="training generator pixel takes one process, came 2"):
        train(chosen, Greys(), folder=folder, workers=Workers(0, 2))
    assert not folder.exists()
    folder.mkdir()
    (folder / "mine.txt").touch()
    with pytest.raises(InputError, match="is not empty"):
        train(chosen, Greys(), folder=folder)


def test_what_can_be_trained_is_named_by_components_and_by_trainers(index: Index) -> None:
    index.add("generators", "mine", dataclasses.replace(DESCRIPTOR, trainer="generators-pixel"))
    assert choose("generator", "mine", {}, budget="demo").config.steps == 3
    with pytest.raises(ConfigError, match=r"train what generator.*`mlvgm train generator mine` or .* generator pixel`"):
        choose("generator", None, {})
    with pytest.raises(PluginError, match="did you mean `mlvgm train generator pixel`"):
        choose("generator", "pixle", {})
    with pytest.raises(ConfigError, match=r"unknown kind of component to train 'generatr' \(did you mean 'generator'"):
        choose("generatr", "pixel", {})


def test_a_full_disk_stops_it_without_loss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved = 0

    def save(*arguments: object, **how: object) -> None:
        nonlocal saved
        saved += 1
        if saved == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        save_checkpoint(*arguments, **how)  # type: ignore[arg-type]

    chosen, folder = choose("generator", "pixel", {"checkpoint_every": 0.0, "steps": 4}), tmp_path / "out"
    monkeypatch.setattr("mlvgm.training.loop.save_checkpoint", save)
    with pytest.raises(Stopped, match=r"the disk is full; the last checkpoint is safe \(free some space; the same"):
        train(chosen, Greys(), folder=folder)
    monkeypatch.undo()
    (folder / ".checkpoint.pt.x.part").touch()  # of a process that was killed while it wrote
    seen: list[int] = []
    train(chosen, Greys(), folder=folder, resume=True, progress=lambda step, steps, figures: seen.append(step))
    assert seen == [3, 4] and not list(folder.glob(".*.part"))
