"""``mlvgm run alphas`` from the command line: real plugins, training images in a folder, resume, refusals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from mlvgm.cli.main import main
from mlvgm.configuration.settings import from_assignments
from mlvgm.plugins.load import build
from mlvgm_robust.alphas.adversarial_set import read_adversarial_set

EVALUATIONS = 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of the bundled sample as if they were training images; the names of classes keep their order."""
    root = tmp_path_factory.mktemp("images")
    data = build("datasets", "fashion-mnist", {"source": "sample"})
    images, labels = data.batch("test", range(160))
    for number, (image, label) in enumerate(zip(images, labels.tolist(), strict=True)):
        place = root / ("train" if number < 80 else "validation") / f"class{label}"
        place.mkdir(parents=True, exist_ok=True)
        pixels = (image[0] * 255).round().to(torch.uint8).numpy()
        Image.fromarray(pixels).save(place / f"{number:03d}.png")
    return root


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as stopped:
        main(["run", "alphas", *arguments])
    code = stopped.value.code
    assert code is None or isinstance(code, int)
    return code or 0


def _settings(folder: Path, **more: object) -> list[str]:
    settings = {
        "data.path": folder,
        "data.channels": 1,
        "attack.eps": 2,
        "votes": 2,
        "search.eot": 1,
        "search.held_out": 6,
        "search.adaptive": 2,
        "selection": 2,
        "search.top": 2,
        **more,
    }
    return [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]


def _command(folder: Path, *arguments: str, method: str = "energy", **more: object) -> list[str]:
    names = ["--method", method, "--generator", "nvae", "--data", "image-folder", "-n", "6"]
    return [*names, "--evaluations", str(EVALUATIONS), *_settings(folder, **more), *arguments]


@pytest.fixture(scope="module")
def finished(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "energy"
    assert _run(*_command(folder, "--out", str(run), "--quiet")) == 0
    return run


def _metrics(run: Path) -> dict[str, Any]:
    metrics: dict[str, Any] = json.loads((run / "metrics.json").read_text())
    return metrics


def test_results(finished: Path) -> None:
    result = _metrics(finished)
    assert result["method"] == "energy" and result["evaluations"] == len(result["trials"]) <= EVALUATIONS
    assert result["trials"][0]["alphas"] == [0] * 8 and result["trials"][0]["accuracy"] == 0
    rows = {row["label"]: row for row in result["rows"]}
    assert list(rows) == ["chosen", "none", "linear", "cosine"]
    assert rows["none"]["transferred"]["value"] == 0  # the set fools it, by construction
    assert rows["linear"]["alphas"] == [i / 8 for i in range(1, 9)]
    assert all(
        0 <= row[name]["low"] <= row[name]["high"] <= 1 for row in rows.values() for name in ("clean", "adaptive")
    )
    (setting,) = from_assignments([result["use"].removeprefix("--set ")], source="--set").values()
    assert setting.value == list(result["chosen"]["alphas"]) == rows["chosen"]["alphas"]
    assert sorted(result["findings"]["order"]) == list(range(8))
    search, held_out = (read_adversarial_set(finished / f"{name}.safetensors") for name in ("search", "held-out"))
    assert len(search) == len(held_out) == 6
    norms = (search.images - search.clean).flatten(1).norm(dim=1)
    assert bool((norms <= 2 * (1 + 1e-5)).all()) and float(norms.max()) > 1
    assert (finished / "alphas.png").read_bytes().startswith(b"\x89PNG")


def test_a_finished_run_is_not_computed_again(folder: Path, finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records = (finished / "records.jsonl").read_bytes()
    assert _run(*_command(folder, "--out", str(finished), "--json", "--quiet")) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["rows"] == _metrics(finished)["rows"] and str(finished) in err
    assert (finished / "records.jsonl").read_bytes() == records


@pytest.mark.parametrize("kept", [1, 5])
def test_an_interrupted_run_goes_on_to_the_same_result(folder: Path, finished: Path, tmp_path: Path, kept: int) -> None:
    run = tmp_path / "interrupted"
    run.mkdir()
    for name in ("config.yaml", "inputs.json"):
        (run / name).write_bytes((finished / name).read_bytes())
    for name in ("search", "held-out"):
        (run / f"{name}.safetensors").write_bytes((finished / f"{name}.safetensors").read_bytes())
    lines = (finished / "records.jsonl").read_text().splitlines(keepends=True)
    (run / "records.jsonl").write_text("".join(lines[:kept]))
    assert _run(*_command(folder, "--out", str(run), "--quiet")) == 0
    assert _metrics(run) == _metrics(finished)
    assert (run / "records.jsonl").read_text() == "".join(lines)


def test_a_random_search_has_its_study(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(*_command(folder, "--json", "--out", "random", method="random", **{"search.adaptive": 0})) == 0
    out, err = capsys.readouterr()
    result = json.loads(out)
    study = result["monotonicity"]
    assert len(study["rho"]) == len(study["accuracy"]) == EVALUATIONS == result["evaluations"]
    assert study["accuracy"] == [trial["accuracy"] for trial in result["trials"]]
    assert result["rows"][0]["adaptive"] is None
    assert "correlate" in err and "method" in err


def test_images_that_do_not_fool_on_fresh_draws_are_dropped_and_told(
    folder: Path, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "planted"
    run.mkdir()
    for name in ("config.yaml", "inputs.json", "held-out.safetensors"):
        (run / name).write_bytes((finished / name).read_bytes())
    tensors = load_file(finished / "search.safetensors")
    tensors["images"][2] = tensors["clean"][2]
    save_file(tensors, run / "search.safetensors")
    lines = (finished / "records.jsonl").read_text().splitlines(keepends=True)
    (run / "records.jsonl").write_text("".join(lines[:2]))
    assert _run(*_command(folder, "--out", str(run))) == 0
    before, after = _metrics(finished)["sets"]["search"], _metrics(run)["sets"]["search"]
    assert (before["kept"], before["dropped"]) == (6, 0)
    assert (after["stored"], after["kept"], after["dropped"]) == (6, 5, 1)
    assert "1 dropped on fresh draws" in capsys.readouterr().err
    shares = {round(5 * trial["accuracy"], 6) for trial in _metrics(run)["trials"]}
    assert all(share.is_integer() for share in shares)


def test_refusals(folder: Path, finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cases = {
        ("--method", "energy", "--set", "data.source=sample"): "alphas are never chosen on those",
        (): "how are alphas to be chosen",
        ("--method", "energi"): "did you mean 'energy'",
        ("--method", "energy", "--set", "purifier.alphas=linear"): "'purifier.alphas' has no meaning",
        ("--method", "energy", "--set", "limit=4"): "see search.images",
        ("--method", "energy", "--set", "search.split=test"): "search.split: must be 'train' or 'validation'",
        ("--method", "energy", "--set", "search.imagse=4"): "did you mean 'images'",
        ("--method", "random", "--set", "method.evaluations=0"): "method.evaluations: must be >= 1",
        ("--method", "energy", "--purifier", "blur"): "purifier 'blur' has no latents to choose alphas for",
        tuple(_command(folder, "--seed", "1", "--out", str(finished))): "is a run of another configuration",
    }
    for arguments, message in cases.items():
        assert _run(*arguments) == 2, arguments
        assert message in " ".join(capsys.readouterr().err.split()), arguments
    assert not Path("runs").exists()


def test_dry_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(*_command(folder, "--dry-run", "--json")) == 0
    out, err = capsys.readouterr()
    config = json.loads(out)["config"]
    (attack,) = config["study"]["attacks"]
    assert attack["attack"] == {"name": "fgsm", "norm": "L2", "eps": 2, "direction": "sign"}
    assert config["study"]["rows"][0]["purifier"]["noise"] == 0  # as published: no pre-processing
    assert config["method"] == {"name": "energy", "evaluations": EVALUATIONS, "images": 64}
    assert "fools at α = 0" in " ".join(err.split()) and not Path("runs").exists()
