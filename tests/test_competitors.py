"""Competitors on the command line: a few steps of each training, killed and resumed, and used as a defence."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from mlvgm.cli.main import main
from mlvgm.noise import Keys
from mlvgm.plugins.load import build
from mlvgm.training.run import train
from mlvgm.training.trainers import Chosen, choose
from mlvgm_robust.evaluation.defence import Defence

SHAPES = {"size": 32, "train": 100}
DATA = ("--data", "shapes", "--set", "data.train=100")
CLASSIFIER = {"classifier": "fashion-cnn", "options": {"weights": "shapes"}}
QUICK: dict[str, Any] = {"steps": 3, "batch": 8, "evaluation_images": 16, "checkpoint_every": 0.0}


@dataclass(frozen=True)
class Training:
    """A training small enough for a test.

    Args:
        kind: what is trained.
        name: which one.
        options: of the training.
    """

    kind: str
    name: str
    options: Mapping[str, Any]

    def chosen(self, **changes: Any) -> Chosen:
        return choose(self.kind, self.name, {**self.options, **changes})


def leaves(prefix: str, tree: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Dotted options, as ``--set`` takes them."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from leaves(f"{prefix}.{key}", value)
        else:
            yield f"{prefix}.{key}", value if isinstance(value, str) else json.dumps(value)


def succeed(*arguments: str) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([*arguments])
    assert stopped.value.code == 0


TRAININGS = [
    Training("classifier", "trades", {**QUICK, **CLASSIFIER, "inner_steps": 2}),
    Training(
        "purifier",
        "a-vae",
        {**QUICK, "architecture": {"image": [3, 32, 32], "widths": [8, 8, 8, 4], "latent_channels": 4, "style": 8}},
    ),
    Training(
        "purifier",
        "nd-vae",
        {
            **QUICK,
            **CLASSIFIER,
            "architecture": {"image": [3, 32, 32], "widths": [8, 8], "stem": 4, "latent_channels": 2},
        },
    ),
]
NAMES = [training.name for training in TRAININGS]


@pytest.mark.parametrize("training", TRAININGS, ids=NAMES)
def test_resumed_training_ends_with_the_same_weights(training: Training, tmp_path: Path) -> None:
    data = build("datasets", "shapes", SHAPES)

    def stop(step: int, steps: int, metrics: Mapping[str, float]) -> None:
        if step == 2:
            raise KeyboardInterrupt

    whole = train(training.chosen(), data, folder=tmp_path / "whole", seed=3)
    with pytest.raises(KeyboardInterrupt):
        train(training.chosen(), data, folder=tmp_path / "killed", seed=3, progress=stop)
    resumed = train(training.chosen(), data, folder=tmp_path / "killed", seed=3, resume=True)
    other = train(training.chosen(), data, folder=tmp_path / "other", seed=4)
    expected, found, third = (load_file(trained.weights) for trained in (whole, resumed, other))
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert any(not torch.equal(third[name], expected[name]) for name in expected)
    assert whole.weights.read_bytes() == resumed.weights.read_bytes()


@pytest.mark.parametrize("training", TRAININGS, ids=NAMES)
def test_trained_on_the_command_line_and_run_as_a_defence(
    training: Training, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = [part for key, value in leaves("train", training.options) for part in ("--set", f"{key}={value}")]
    succeed("train", training.kind, training.name, *DATA, "--out", "made", "--json", "--quiet", *settings)
    out, err = capfd.readouterr()
    made = json.loads(out)
    card, use = Path(made["card"]).read_text(), err.partition("use them with: ")[2].split()
    assert [part for setting in made["use"] for part in ("--set", setting)] == use
    assert len(Path(made["log"]).read_text().splitlines()) == training.options["steps"]
    assert f"`mlvgm train {training.kind} {training.name} --data shapes --seed 0" in card
    assert "first 16 validation images" in card

    options = ["--set", "classifier.weights=shapes"] if training.kind == "purifier" else ["--purifier", "none"]
    command = ("run", "purify", "--quiet", "--json", *DATA, "-n", "4", "--attack", "fgsm", "--out", "run")
    succeed(*command, "--set", "compare=false", "--threads", "1", *options, *use)
    assert json.loads(capfd.readouterr().out)["rows"]


@pytest.mark.parametrize("training", TRAININGS, ids=NAMES)
@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--set", "train.steps=0"], "train.steps: must be >= 1 (got 0)"),
        (["--set", "train.step=1"], "did you mean 'steps'"),
        (["--budget", "demmo"], "unknown budget 'demmo' (did you mean 'demo'?"),
        (["--data", "fashion-mnist", "--set", "data.source=sample"], "only a bundled sample"),
    ],
)
def test_refusals(
    training: Training,
    options: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        main(["train", training.kind, training.name, "--data", "shapes", "--quiet", *options])
    err = capfd.readouterr().err
    assert stopped.value.code == 2 and said in err and "Traceback" not in err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("purifier", "weights"), [("a-vae", None), ("nd-vae", None), ("none", "trades")])
def test_shipped_competitors_keep_most_clean_images(purifier: str, weights: str | None) -> None:
    data = build("datasets", "fashion-mnist", {"source": "sample"})
    images, labels = data.batch("test", range(200))
    classifier = build("classifiers", "fashion-cnn", {"weights": weights}, data=data.info)
    defence = Defence(classifier, build("purifiers", purifier, generator=None))
    keys = Keys.of(seed=0, purpose="test", samples=range(200))
    with torch.no_grad():
        right = (defence.draw(images, keys)[:, 0].argmax(1) == labels).float().mean()
    assert right > 0.75


@pytest.mark.parametrize("training", TRAININGS, ids=NAMES)
def test_a_folder_without_validation_images_gives_no_figures(training: Training, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (12, 32, 32, 3), dtype=np.uint8)
    for number, image in enumerate(pixels):
        folder = tmp_path / "images" / "train" / f"class{number % 6}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"{number}.png")
    data = build("datasets", f"image-folder:{tmp_path / 'images'}")
    trained = train(training.chosen(steps=1), data, folder=tmp_path / "out")
    assert list(trained.metrics) == ["cpu_seconds"] and "nan" not in trained.card.read_text()


OWN = """
from torch import nn

def network():
    convolution = nn.Conv2d(3, 4, 3, stride=4)
    return nn.Sequential(convolution, nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(256, 6))
"""


def test_trades_trains_a_network_of_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_networks.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    data, options = build("datasets", "shapes", SHAPES), {**QUICK, "classifier": "own_networks:network"}
    trained = train(choose("classifier", "trades", options), data, folder=tmp_path / "out")
    network = import_module("own_networks").network()
    fresh = {name: value.clone() for name, value in network.state_dict().items()}
    network.load_state_dict(load_file(trained.weights))
    assert torch.equal(network[1].running_mean, fresh["1.running_mean"]), "statistics are not trained"
    assert not torch.equal(network[1].bias, fresh["1.bias"])
    assert trained.use == ("classifier.name=own_networks:network",)
