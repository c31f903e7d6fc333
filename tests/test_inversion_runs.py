"""A generator without an encoder in `mlvgm run purify`: inverted, which is said everywhere, and resumed the same."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fake_site import Site
from mlvgm.cli.main import main

DESCRIPTOR = """
from mlvgm.plugins.descriptors import Component, Recipe

bare = Component(
    summary="cosine waves, coarse to fine; no encoder",
    factory="waves_built:build",
    config="waves_built:Config",
    recipes={"purify": (Recipe("waves", {"purifier.alphas": "keep:1"}),)},
)
"""
# x = 1/2 + Σ 6 U_i z_i with U the lowest frequencies of the cosine transform.
MODEL = """
import math
from dataclasses import dataclass, replace

import torch
from pydantic import BaseModel, ConfigDict, Field

from mlvgm.errors import unknown
from mlvgm.latents import Blended, ImageSpec, Latents, LatentSpec
from mlvgm.noise import Noise, normal


class Config(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    encodes: bool = Field(False, description="weights with an encoder")


def basis():
    position = torch.arange(32) + 0.5
    waves = torch.stack([torch.cos(math.pi * position * k / 32) for k in range(8)])
    waves = waves / waves.norm(dim=1, keepdim=True)
    return torch.einsum("ah,bw->abhw", waves, waves).reshape(64, 1, 32, 32)


BASIS = 6 * basis()


@dataclass(frozen=True)
class Waves:
    sampling: None = None
    latents = (LatentSpec("coarse", (24,), (24,)), LatentSpec("fine", (40,), (40,)))
    image = ImageSpec(1, 32, 32)
    nuisances = ()
    device = torch.device("cpu")

    def to(self, device):
        return self

    def with_sampling(self, **options):
        if options:
            raise unknown("sampling option", next(iter(options)), ())
        return self

    def draw_noise(self, keys, *, tied=None):
        return Noise(tuple(normal(keys, spec.name, spec.noise_shape) for spec in self.latents), (0, 1))

    def to_latents(self, noise):
        return Latents(noise.values)

    def decode(self, latents):
        return 0.5 + torch.einsum("nk,kchw->nchw", torch.cat(latents.values, 1), BASIS)

    def generate(self, noise):
        return self.decode(self.to_latents(noise))


class Encoded(Waves):
    encoder_image = Waves.image

    def encode(self, images):
        return Codes(torch.einsum("nchw,kchw->nk", images - 0.5, BASIS / 36))

    def blend(self, encoding, source, alphas):
        draws = len(source) // len(encoding)
        kept = encoding.repeat(draws).values.split([24, 40], 1)
        mixed = tuple((1 - a) * k + a * e for a, k, e in zip(alphas, kept, source.values))
        return Blended(self.decode(Latents(mixed)), Latents(mixed))


@dataclass(frozen=True)
class Codes:
    values: torch.Tensor

    def __len__(self):
        return len(self.values)

    def __getitem__(self, index):
        return Codes(self.values[index])

    def repeat(self, draws):
        return Codes(self.values.repeat_interleave(draws, 0))

    def to(self, device):
        return self


def build(config):
    return Encoded() if config.encodes else Waves()
"""
QUICK = ("-n", "2", "--set", "attack.iterations=2", "--set", "block=1", "--set", "eot=2", "--set", "selection=2")
FEW = ("--set", "encoder.steps=5", "--set", "votes=2", "--set", "compare=false")
RUN = ("run", "purify", "--generator", "waves", "--attack", "apgd-ce", *QUICK, "--threads", "1")

Run = Callable[..., tuple[dict[str, Any], str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.chdir(tmp_path)
    Site(folder).install(
        "waves",
        entry_points={"mlvgm.generators": {"waves": "waves_plugin:bare"}},
        modules={"waves_plugin": DESCRIPTOR, "waves_built": MODEL},
    )

    def call(*arguments: str, exit_code: int = 0) -> tuple[dict[str, Any], str]:
        with pytest.raises(SystemExit) as stopped:
            main([*arguments])
        printed = capfd.readouterr()
        assert stopped.value.code == exit_code, printed.err
        said = " ".join(printed.err.split())
        return json.loads(printed.out) if printed.out.startswith("{") else {}, said

    return call


def decisions(path: Path) -> dict[str, Any]:
    lines = [json.loads(line) for line in (path / "records.jsonl").read_text().splitlines()]
    return {line["unit"]: {key: value for key, value in line.items() if "seconds" not in key} for line in lines}


def test_inversion_takes_over_where_there_is_no_encoder_and_everything_says_so(run: Run, tmp_path: Path) -> None:
    result, said = run(
        *RUN, "--set", "votes=2", "--set", "compare=false", "--json", "--out", "whole", "--budget", "demo"
    )
    assert "inversion by optimisation" in said and "steps 100" in said
    assert "the purifier is not differentiable, so BPDA" in said and "transfer from the bare classifier" in said
    (row,) = result["rows"]
    assert row["differentiable"] is False and row["paths"] == ["bpda", "transfer"]
    for text in ("inversion by optimisation", "steps 100", "not differentiable", "attacked through BPDA and transfer"):
        assert text in row["note"]
    (written,) = result["config"]["rows"]
    assert written["encoder"]["name"] == "inversion" and written["encoder"]["steps"] == 100
    yaml = (tmp_path / "whole" / "config.yaml").read_text()
    assert "steps: 100  # the generator has no encoder" in yaml
    plan = json.loads((tmp_path / "whole" / "plan.json").read_text())
    assert "inversion by optimisation" in plan["encoder"] and "mlvgm-robust" in plan["plugins"]
    report = (tmp_path / "whole" / "report.html").read_text()
    assert "attacked through BPDA and transfer" in report


def test_a_stopped_run_with_inversion_resumes_to_the_same_decisions(run: Run, tmp_path: Path) -> None:
    run(*RUN, *FEW, "--quiet", "--out", "whole")
    run(*RUN, *FEW, "--quiet", "--out", "part")
    records = tmp_path / "part" / "records.jsonl"
    first, _ = records.read_text().splitlines(keepends=True)
    records.write_text(first)
    run("runs", "resume", "part", "--quiet")
    assert len(decisions(tmp_path / "part")) == 2 and decisions(tmp_path / "part") == decisions(tmp_path / "whole")
    run("run", "purify", "--quiet", "--config", "whole/config.yaml", "--out", "again")
    assert decisions(tmp_path / "again") == decisions(tmp_path / "whole")


def test_only_rows_that_need_it_are_inverted(run: Run) -> None:
    result, said = run(*RUN, *FEW[:-2], "--json", "--set", "generator.encodes=true", "--dry-run")
    rows = {row["label"]: row for row in result["config"]["rows"]}
    assert rows["waves"]["encoder"]["steps"] == 5 and rows["undefended"]["encoder"] is None
    assert "undefended, noise only, blur only: exact" in result["plan"]["gradient path"]
    own, _ = run(*RUN, "--set", "votes=2", "--set", "compare=false", "--set", "generator.encodes=true", "--json")
    assert own["config"]["rows"][0]["encoder"] is None
    assert own["rows"][0]["differentiable"] is True and own["rows"][0]["paths"] == ["exact"]
    assert "the generator's own" in said or "inversion" in said


def test_a_dry_run_cannot_know_and_says_so(run: Run) -> None:
    result, _ = run(*RUN, "--dry-run", "--json")
    assert "inversion where its weights have none" in result["plan"]["encoder"]


def test_gradients_can_be_chosen(run: Run) -> None:
    baseline = (
        "run",
        "purify",
        "--purifier",
        "blur",
        "--attack",
        "apgd-ce",
        *QUICK,
        "--set",
        "compare=false",
        "--json",
    )
    result, said = run(*baseline, "--set", "gradient=bpda")
    assert result["rows"][0]["paths"] == ["bpda"] and "BPDA: exact values" in said
    _, said = run(*RUN, *FEW, "--set", "gradient=exact", exit_code=2)
    assert "exact gradients, the purifier has none" in said
    _, said = run(*RUN, *FEW, "--set", "gradient=none", exit_code=2)
    assert "gradient" in said


def test_transfer_alone(run: Run) -> None:
    alone = ("run", "purify", "--generator", "waves", "--attack", "transfer:apgd-ce", "-n", "2", "--json")
    result, said = run(*alone, *FEW, "--set", "attack.options.iterations=2")
    assert result["rows"][0]["paths"] == ["transfer"] and "grey box" in said
    assert "attacks through the purifier may find more" in said


def test_generators_whose_encoder_inversion_cannot_replace(run: Run) -> None:
    _, said = run("run", "purify", "--encoder", "inversion", *QUICK, "--attack", "apgd-ce", "--quiet", exit_code=2)
    assert "depends on coarser ones" in said and "leave --encoder out" in said


def test_a_folder_is_purified_by_inversion(run: Run, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for number in range(3):
        Image.fromarray(np.full((32, 32), 60 * number, np.uint8)).save(tmp_path / "images" / f"{number}.png")
    options = ("--generator", "waves", "--set", "encoder.steps=100", "--set", "purifier.alphas=none", "--seed", "1")
    _, said = run("purify", "images", "--out", "out", *options)
    assert "inversion by optimisation" in said and "3 purified images" in said
    for number in range(3):
        pixels = np.asarray(Image.open(tmp_path / "out" / f"{number}.png"), np.float64)
        assert abs(pixels.mean() - 60 * number) < 12


def test_a_full_disk_keeps_what_is_purified(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "images").mkdir()
    for number in range(3):
        Image.fromarray(np.full((32, 32), 60 * number, np.uint8)).save(tmp_path / "images" / f"{number}.png")
    synced = os.fsync

    def refuse(descriptor: int) -> None:
        if (tmp_path / "out" / "1.png").exists():
            raise OSError(errno.ENOSPC, "No space left on device")
        synced(descriptor)

    monkeypatch.setattr("os.fsync", refuse)
    options = ("--generator", "waves", "--set", "generator.encodes=true", "--set", "purifier.alphas=none")
    _, said = run("purify", "images", "--out", "out", *options, exit_code=3)
    assert "error: the disk is full; 2 of 3 images are purified, in 'out'" in said and "Traceback" not in said
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["0.png", "1.png"]
    assert np.asarray(Image.open(tmp_path / "out" / "1.png")).shape == (32, 32)
