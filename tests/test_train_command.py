"""``mlvgm train``: which trainer a name means, presets, what it prints for people and for machines."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest
import shared_training

from mlvgm.cli.main import main
from mlvgm.errors import ConfigError, InputError, PluginError, Stopped
from mlvgm.plugins.descriptors import Component
from mlvgm.plugins.index import Index
from mlvgm.protocols.train import Trained
from mlvgm.training.log import read_figures
from mlvgm.training.loop import Progress
from mlvgm.training.run import train
from mlvgm.training.trainers import Chosen, choose

DATA = ("--data", "shapes", "--set", "data.train=100")


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Index:
    """The plugins of this environment, to which a test may add."""
    found = Index.installed()
    monkeypatch.setattr(Index, "installed", classmethod(lambda cls, **how: found))
    return found


def test_a_component_names_its_trainer(index: Index) -> None:
    mine = Component("mine", "nowhere:build", "nowhere:Config", trainer="generators-nvae")
    index.add("generators", "mine", mine)
    chosen = choose("generators", "mine", {"steps": 7})
    assert (chosen.kind, chosen.name, chosen.config.steps) == ("generator", "mine", 7)
    assert chosen.trainer.component == choose("generator", "nvae", {}).trainer.component


def test_every_trainer_trains_something() -> None:
    """That of a component, or of the thing that it is called after."""
    found = {
        choose(kind, name, {}).trainer.entry.name
        for kind, name in (
            ("generator", "nvae"),
            ("generator", "biggan"),
            ("generator", "stylegan2"),
            ("encoder", "biggan"),
            ("encoder", "stylegan2"),
            ("classifier", "fashion-cnn"),
            ("classifier", "trades"),
            ("purifier", "a-vae"),
            ("purifier", "nd-vae"),
        )
    }
    assert found == set(Index.installed().names("trainers"))


def test_options_of_a_trainer_are_those_of_a_training(index: Index) -> None:
    index.add("trainers", "generators-plain", Component("plain", "nowhere:build", "pydantic:BaseModel"))
    with pytest.raises(PluginError, match=r"subclass of mlvgm\.training\.config\.TrainingConfig"):
        choose("generator", "plain", {})


def test_a_budget_gives_way_to_what_the_user_sets() -> None:
    assert choose("generator", "nvae", {}, budget="demo").config.steps == 300
    assert choose("generator", "nvae", {"steps": 5}, budget="demo").config.steps == 5
    assert choose("generator", "nvae?steps=6", {}, budget="demo").config.steps == 6
    assert choose("generator", "nvae", {}, budget="standard").config == choose("generator", "nvae", {}).config
    with pytest.raises(ConfigError, match=r"unknown budget 'huge' \(known: demo, rigorous, standard\)"):
        choose("generator", "nvae", {}, budget="huge")


@pytest.mark.parametrize("trainer", Index.installed().names("trainers"))
def test_every_training_has_a_demo(trainer: str) -> None:
    kinds, _, name = trainer.partition("-")
    demo, plain = (choose(kinds, name, {}, budget=budget).config for budget in ("demo", None))
    assert demo.steps < plain.steps and demo == plain.model_copy(update={"steps": demo.steps})


def test_a_terminated_training_says_how_to_go_on_and_nobody_trains_beside_it(tmp_path: Path) -> None:
    chosen = choose("classifier", "fashion-cnn", {"steps": 4, "batch": 16, "checkpoint_every": 0.0})
    folder, data = tmp_path / "out", shared_training.Noise()

    def end(step: int, steps: int, figures: object) -> None:
        if step == 2:
            with pytest.raises(InputError, match="in use by another command"):
                train(chosen, data, folder=folder, resume=True)
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Stopped, match=r"by SIGTERM; the last checkpoint is safe .*--resume goes on") as stopped:
        train(chosen, data, folder=folder, progress=end)
    assert stopped.value.exit_code == 3 and len(read_figures(folder)) == 2
    train(chosen, data, folder=folder, resume=True)
    assert [row["step"] for row in read_figures(folder)] == [1, 2, 3, 4]


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[Chosen]:
    """What would have been trained: the command does all but that."""
    seen: list[Chosen] = []

    def pretend(
        chosen: Chosen,
        data: object,
        *,
        folder: Path,
        progress: Progress,
        **how: object,
    ) -> Trained:
        seen.append(chosen)
        progress(1, chosen.config.steps, {"loss": 0.25})
        time.sleep(0.7)  # a line every half second at most
        return Trained(folder / "w", folder / "c", folder / "l", {"accuracy": 0.5}, ("classifier.weights=w",))

    monkeypatch.setattr("mlvgm.training.run.train", pretend)
    return seen


def run(*arguments: str) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["train", "classifier", "fashion-cnn", *DATA, *arguments])
    assert stopped.value.code == 0


def test_the_command_says_how_far_it_is_without_a_terminal(
    trained: list[Chosen], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("mlvgm.cli.progress.FIRST", 0.1)
    run("--budget", "demo", "--set", "train.batch=32")
    out, err = capfd.readouterr()
    assert trained[0].config.steps == 400 and trained[0].config.batch == 32
    assert "training fashion-cnn: 1 of 400 after" in err and "loss 0.25" in err
    assert "use them with: --set classifier.weights=w" in err and not out


def test_machines_get_one_object(
    trained: list[Chosen], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    run("--json", "--quiet", "--out", "made")
    assert json.loads(capfd.readouterr().out) == {
        "weights": "made/w",
        "card": "made/c",
        "log": "made/l",
        "metrics": {"accuracy": 0.5},
        "use": ["classifier.weights=w"],
    }
