"""The example ``measure_generator.py``: figures with known answers, and the command itself."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
import typer
from PIL import Image
from torch import Tensor, nn
from typer.testing import CliRunner

from families import BigGANLike, LinearGaussian, StyleGANLike
from mlvgm.noise import Keys, normal
from mlvgm.protocols.data import DataInfo, Split
from mlvgm_vision.classifiers.frozen import FrozenClassifier
from tolerance import close

FILE = Path(__file__).parent.parent / "examples" / "measure_generator.py"


@pytest.fixture(scope="module")
def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("measure_generator", FILE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


class Small(LinearGaussian):
    scales = (0.06, 0.04, 0.02)  # no pixel leaves [0, 1]


def _judge() -> FrozenClassifier:
    """Two classes: the sign of the first coordinate of z0."""
    direction = Small().basis[:, 0]
    head = nn.Linear(16, 2)
    head.load_state_dict({"weight": torch.stack([-direction, direction]), "bias": torch.zeros(2)})
    return FrozenClassifier(nn.Sequential(nn.Flatten(), head), classes=2, mean=(0.5,))


class Drawn:
    """Images a linear-Gaussian generator made, labelled by the judge; every tenth label is wrong."""

    info = DataInfo("drawn", Small.image, ("left", "right"), "MIT", "made here")

    def size(self, split: Split) -> int:
        return 2000

    def batch(self, split: Split, ids: Sequence[int]) -> tuple[Tensor, Tensor]:
        generator = Small()
        images = generator.generate(generator.draw_noise(Keys.of(seed=0, purpose=split, samples=ids)))
        wrong = torch.tensor([i % 10 == 0 for i in ids])
        return images, torch.where(wrong, 1 - _judge()(images).argmax(1), _judge()(images).argmax(1))


def _measure(example: ModuleType, generator: Any, data: Any = None, **options: Any) -> dict[str, Any]:
    settings = {"count": 1000, "pairs": 400, "encoded": 300, "seed": 0, "say": lambda text: None}
    found: dict[str, Any] = example.measure(generator, _judge(), data or Drawn(), **settings | options)
    json.dumps(found)
    return found


def test_a_perfect_generator(example: ModuleType) -> None:
    found = _measure(example, Small())
    assert found["images"] == 1000 and found["block"] == 100
    perfect, real = found["sets"].values()
    for name in ("fid", "confidence"):
        assert perfect[name] == pytest.approx(real[name], rel=0.3)
    assert perfect["kid"]["low"] < 0 < perfect["kid"]["high"] or abs(perfect["kid"]["value"]) < 1e-4
    assert sum(found["histogram"]["samples"]) == pytest.approx(1)
    assert found["histogram"]["samples"][0] == pytest.approx(0.5, abs=0.08)
    assert "class_match" not in found
    alone, upto = found["exchanges"]
    assert [row["latents"] for row in alone] == ["z0", "z1", "z2"] and upto[2]["latents"] == "0:3"
    assert alone[1]["changed"]["value"] == alone[2]["changed"]["value"] == 0  # the judge reads z0 only
    assert alone[0]["changed"]["low"] < 0.5 < alone[0]["changed"]["high"]
    assert upto[0] == {**alone[0], "latents": "0:1"} and upto[2]["changed"] == alone[0]["changed"]
    # E‖z_i^A − z_i^B‖² / 16 = 2 s_i² d_i / 16
    expected = [2 * s**2 * d / 16 for s, d in zip(Small.scales, Small.blocks, strict=True)]
    assert [row["squared"] for row in alone] == pytest.approx(expected, rel=0.15)
    assert [row["squared"] for row in upto] == pytest.approx(torch.tensor(expected).cumsum(0).tolist(), rel=0.15)
    kept = found["kept"]  # the encoder is exact
    assert kept["images"] == 300 and kept["accuracy"]["value"] == kept["reconstructed"]["value"] == 0.9
    assert kept["label"]["value"] == 1 and kept["squared"] < 1e-10


def test_a_wider_generator_is_as_far_as_its_scales_say(example: ModuleType) -> None:
    class Wide(Small):
        scales = (0.09, 0.06, 0.03)

    found = _measure(example, Wide(), count=2000)["sets"]
    expected = sum(d * (a - b) ** 2 for d, a, b in zip(Small.blocks, Wide.scales, Small.scales, strict=True))
    assert found["samples"]["fid"] == pytest.approx(expected, rel=0.2)  # features are pixels, axes are shared
    assert found["real, train split"]["fid"] < expected / 20


def test_a_sample_is_split_in_halves(example: ModuleType) -> None:
    class Bundled(Drawn):
        info = replace(Drawn.info, sample=True)

        def size(self, split: Split) -> int:
            assert split == "test"
            return 500

    found = _measure(example, Small(), Bundled())
    assert found["images"] == 250 and list(found["sets"]) == ["samples", "real, test split"]
    assert found["sets"]["real, test split"]["fid"] > 1e-9  # they are not the same images


def test_samples_of_conditional_generators_have_known_classes(example: ModuleType) -> None:
    generator = BigGANLike()
    (images, labels), (more, others) = example.samples(generator, 260, 3, classes=5)
    assert labels.tolist() == [i % 5 for i in range(250)] and others.tolist() == [i % 5 for i in range(250, 260)]
    noise = generator.draw_noise(Keys.of(seed=3, purpose="measure/samples", samples=range(250, 260)))
    expected = generator.generate(replace(noise, condition=generator.embed_classes(others)))
    close(more, expected)
    assert len(images) == 250
    other = _measure(example, generator)  # five classes, the data have two: nothing to match
    assert "class_match" not in other

    class Two(BigGANLike):
        classes = 2

    matched = _measure(example, Two())
    assert matched["class_match"]["low"] < matched["class_match"]["high"]
    assert "class they were made of" in example.report("two", matched)


def test_tied_sampling_is_untied_by_the_exchange(example: ModuleType) -> None:
    generator = StyleGANLike()
    head = nn.Linear(64, 2)
    head.load_state_dict(
        {"weight": normal(Keys.of(seed=0, purpose="head", samples=range(2)), "w", (64,)), "bias": torch.zeros(2)}
    )
    judge = FrozenClassifier(nn.Sequential(nn.Flatten(), head), classes=2)
    alone, upto = example.exchanges(generator, judge, 40, 0)
    noise = [generator.draw_noise(Keys.of(seed=0, purpose=f"measure/{n}", samples=range(40))) for n in "ab"]
    images = [generator.generate(n).clamp(0, 1) for n in noise]
    assert upto[-1].squared == pytest.approx(float((images[1] - images[0]).square().mean()), rel=1e-4)
    latents = [generator.to_latents(n) for n in noise]
    styled = generator.decode(latents[0].replaced([2], latents[1])).clamp(0, 1)
    assert alone[2].squared == pytest.approx(float((styled - images[0]).square().mean()), rel=1e-4)


def test_the_command(tmp_path: Path) -> None:
    options = ("-n", "40", "--pairs", "8", "--encoded", "20", "--set", "data.source=sample", "--out", "measured")
    command = [sys.executable, str(FILE), "nvae", *options]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "measured" / "report.md").read_text()
    assert done.stdout == text + "\n" and text.startswith("# nvae `data.source=sample` on fashion-mnist")
    assert all(line.count("|") in (0, 4, 5, 6) for line in text.splitlines())
    found = json.loads((tmp_path / "measured" / "metrics.json").read_text())
    assert found["images"] == 40 and len(found["exchanges"][0]) == 8 and found["kept"]["images"] == 20
    with Image.open(tmp_path / "measured" / "samples.png") as picture:
        assert picture.size == (2 + 10 * 66, 2 + 8 * 66)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nvea",), "did you mean 'nvae'"),
        (("nvae", "--data", "shapes"), "(1, 32, 32), data set 'shapes' has (3, 32, 32)"),
        (("nvae", "--set", "attack.eps=1"), "unknown option 'attack.eps'"),
    ],
)
def test_slips(example: ModuleType, arguments: tuple[str, ...], said: str) -> None:
    app = typer.Typer()
    app.command()(example.main)
    refused = CliRunner().invoke(app, arguments)
    assert refused.exit_code == 2 and said in refused.stderr
