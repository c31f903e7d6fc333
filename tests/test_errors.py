"""Bad input: one clear message, exit code 2, no traceback, no run directory."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mlvgm.cli.main import main

Run = Callable[..., str]


@pytest.fixture
def refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run a command that must be refused, and give its one line."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, exit_code: int = 2) -> str:
        before = set(tmp_path.rglob("*"))
        with pytest.raises(SystemExit) as stopped:
            main([*arguments])
        printed = capfd.readouterr()
        assert stopped.value.code == exit_code, printed.err
        errors = [line for line in printed.err.splitlines() if line.startswith("error: ")]
        assert len(errors) == 1 and "Traceback" not in printed.err + printed.out
        assert set(tmp_path.rglob("*")) == before, "something was left behind"
        return errors[0]

    return run


PURIFY = ("run", "purify", "--quiet", "-n", "16")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--generator", "nvea"), "did you mean 'nvae'"),
        (("--attack", "autoatack"), "did you mean 'autoattack'"),
        (("--set", "attack.eps=-1"), "attack.eps: must be >= 0 (got -1)"),
        (("--set", "generator.nosuch=1"), "generator.nosuch: unknown option"),
        (("--set", "attack.epsilon=1"), "attack.epsilon: unknown option"),
        (("--set", "generator.temperature=hot"), "generator.temperature"),
        (("--set", "votes=0"), "votes: must be >= 1 (got 0)"),
        (("--set", "vote=3"), "did you mean 'votes'"),
        (("--set", "attack.eps"), "expected KEY=VALUE"),
        (("--budget", "huge"), "unknown budget 'huge'"),
        (("--set", "purifier.alphas=keep:99"), "alphas"),
        (("--device", "abacus"), "device 'abacus' is not available"),
        (("--device", "meta"), "device 'meta' is not available"),
        (("--set", "compare=maybe"), "run.compare: must be true or false"),
        (("--set", "rows=3"), "expected a list of mappings"),
        (("--set", "attack=sqare"), "did you mean 'square'"),
        (("--set", "attack.eps=.nan"), "attack.eps"),
        (("--set", "purifier.alphas=[0, 1]"), "2 alphas for a generator with 8 latents"),
        (("--config", "missing.yaml"), "missing.yaml"),
        (("--set", "purifier.noise=inf"), "purifier.noise: must be a number"),
        (("--set", "purifier.noise=.inf"), "purifier.noise: must be a finite number"),
        (("--set", "attack.iterations=true"), "attack.iterations: must be a whole number (got True)"),
        (("--set", "limit="), "'limit' has no value"),
        (("--set", "purifier.blur=20"), "a blur of radius 80 pixels"),
        (("--set", "rows.0.label=other"), "unknown option 'rows.0.label'"),
    ],
)
def test_wrong_options(refused: Run, arguments: tuple[str, ...], said: str) -> None:
    assert said in refused(*PURIFY, *arguments)


def test_a_configuration_of_another_budget(refused: Run, tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("budget: demo\nattack:\n  iterations: 2\n")
    assert "is of budget 'demo'" in refused(*PURIFY, "--config", "run.yaml", "--budget", "rigorous")


def test_a_configuration_that_is_no_text(refused: Run, tmp_path: Path) -> None:
    (tmp_path / "junk.yaml").write_bytes(b"\xba\xbe" * 20)
    assert "junk.yaml" in refused(*PURIFY, "--config", "junk.yaml")


def test_missing_and_corrupt_weights(refused: Run, tmp_path: Path) -> None:
    assert "nowhere.safetensors" in refused(*PURIFY, "--set", "generator.weights=nowhere.safetensors")
    corrupt = tmp_path / "corrupt.safetensors"
    corrupt.write_bytes(b"\x00" * 100)
    assert "corrupt.safetensors" in refused(*PURIFY, "--set", f"generator.weights={corrupt}")
    assert "corrupt.safetensors" in refused(*PURIFY, "--set", f"classifier.weights={corrupt}")


def image_folder(root: Path, count: int = 3) -> Path:
    for name in ("a", "b"):
        (root / name).mkdir(parents=True)
        for number in range(count):
            Image.fromarray(np.full((32, 32), 40 * number, np.uint8)).save(root / name / f"{number}.png")
    return root


def test_purifying_refuses_what_has_no_effect(refused: Run, tmp_path: Path) -> None:
    folder = image_folder(tmp_path / "images")
    purify = ("purify", str(folder), "--out", str(tmp_path / "out"))
    assert "purfier.noise" in refused(*purify, "--set", "purfier.noise=3")
    assert "device 'abacus'" in refused(*purify, "--device", "abacus")
    (folder / "a").rename(folder / "train")
    assert "no images to purify" in refused(*purify)


def test_images_without_labels_cannot_be_attacked(refused: Run, tmp_path: Path) -> None:
    pixels = np.zeros((32, 32), np.uint8)
    for name in ("train/a/0.png", "train/b/0.png", "test/0.png"):
        (tmp_path / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / "images" / name)
    options = ("--data", "image-folder", "--set", f"data.path={tmp_path / 'images'}", "--set", "data.channels=1")
    assert "have no labels" in refused(*PURIFY, *options)


def test_a_broken_image(refused: Run, tmp_path: Path) -> None:
    folder = image_folder(tmp_path / "images")
    (folder / "b" / "1.png").write_bytes((folder / "b" / "1.png").read_bytes()[:40])
    said = refused(*PURIFY, "--data", "image-folder", "--set", f"data.path={folder}", "--set", "data.channels=1")
    assert "1.png" in said
    assert "1.png" in refused("purify", str(folder), "--out", str(tmp_path / "out"))


def test_nan_pixels(refused: Run, tmp_path: Path) -> None:
    folder = image_folder(tmp_path / "images")
    pixels = np.zeros((32, 32), np.float32)
    pixels[3, 4] = np.nan
    np.save(folder / "a" / "bad.npy", pixels)
    said = refused(*PURIFY, "--data", "image-folder", "--set", f"data.path={folder}", "--set", "data.channels=1")
    assert "bad.npy" in said and "NaN" in said
    assert "NaN" in refused("purify", str(folder), "--out", str(tmp_path / "out"))


def test_unwritable_output(refused: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    assert "cannot write" in refused(*PURIFY, "--out", str(tmp_path / "file" / "run"))
    folder = image_folder(tmp_path / "images")
    assert "cannot write" in refused("purify", str(folder), "--out", str(tmp_path / "file" / "out"))
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "something").write_text("precious")
    assert "not empty" in refused(*PURIFY, "--out", str(tmp_path / "used"), "--purifier", "none")


@pytest.mark.parametrize(
    ("layers", "said"),
    [
        ("Flatten(), Linear(1024, 7)", ("7 classes", "10")),
        ("Flatten(), Linear(1024, 10), Softmax(1)", ("logits",)),
    ],
)
def test_unusable_classifiers(
    refused: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layers: str, said: tuple[str, ...]
) -> None:
    code = f"from torch.nn import Flatten, Linear, Sequential, Softmax\nnet = Sequential({layers})\n"
    (tmp_path / "their_model.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "their_model", raising=False)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    message = refused(*PURIFY, "--classifier", "their_model:net")
    assert all(text in message for text in said)


def test_runs_that_do_not_exist(refused: Run, tmp_path: Path) -> None:
    assert "not a run directory" in refused("runs", "resume", str(tmp_path))
    assert "not a run directory" in refused("runs", "show", str(tmp_path / "nothing"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("purifier", "avae"), "did you mean `mlvgm train purifier a-vae`? known: a-vae, nd-vae"),
        (("purifiers", "nvae"), "did you mean `mlvgm train purifier nd-vae`? known: a-vae, nd-vae"),
        (("purifier", "x"), "(`mlvgm train purifier a-vae` or `mlvgm train purifier nd-vae`)"),
        (("purifier",), "train what purifier? (`mlvgm train purifier a-vae` or `mlvgm train purifier nd-vae`)"),
        (("purifer", "a-vae"), "did you mean 'purifier'?"),
    ],
)
def test_what_cannot_be_trained(refused: Run, arguments: tuple[str, ...], said: str) -> None:
    assert said in refused("train", *arguments)


@pytest.mark.parametrize("attack", ["torchattacks:PGD?steps=x", "foolbox:LinfPGD?steps=z"])
def test_options_of_other_libraries_attacks_are_checked_by_a_dry_run(refused: Run, attack: str) -> None:
    pytest.importorskip(attack.partition(":")[0])
    assert "option 'steps'" in refused(*PURIFY, "--attack", attack, "--purifier", "none", "--dry-run")


def test_two_attacks_of_one_label(refused: Run) -> None:
    assert "'fgsm, eps 1' is there twice" in refused(*PURIFY, "--attack", "fgsm", "--set", "radii=[1,1]", "--dry-run")


def test_scoring_what_is_not_there(refused: Run) -> None:
    assert "no such folder or shard: 'nodir'" in refused("run", "score", "nodir")


def test_training_on_the_bundled_sample_is_refused(refused: Run) -> None:
    for command in (("train", "classifier", "fashion-cnn"), ("run", "alphas", "--method", "random")):
        said = refused(*command, "--set", "data.source=sample")
        assert "sample" in said and "make data" in said and "--set data.source=full" in said


def test_resuming_a_training_that_never_began(refused: Run, tmp_path: Path) -> None:
    said = refused("train", "classifier", "fashion-cnn", "--resume", "--out", "missing")
    assert "nothing to resume in 'missing'" in said


def test_training_on_a_device_that_is_not_there(refused: Run) -> None:
    assert "device 'abacus' is not available" in refused("train", "generator", "nvae", "--device", "abacus")


def test_internal_errors_are_told_apart(refused: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def explode(*arguments: object, **options: object) -> None:
        raise ZeroDivisionError("unexpected")

    monkeypatch.setattr("mlvgm.files.check_writable", explode)
    assert "internal error: ZeroDivisionError" in refused(*PURIFY, exit_code=70)
