"""Executing a study: images before records, units of the same samples only, and the same result however it was cut."""

from __future__ import annotations

import hashlib
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from toy_study import Levels, do, finished_units, toy_config, toy_run, toy_study

from mlvgm.errors import InputError, Stopped
from mlvgm.protocols.job import Unit
from mlvgm.runs.execute import check_fits
from mlvgm.runs.rundir import RunDirectory
from mlvgm.runs.workers import Workers
from mlvgm_robust.purify import results as results_module
from mlvgm_robust.purify.config import PurifyConfig
from mlvgm_robust.purify.job import PurifyJob
from mlvgm_robust.purify.metrics import in_short, worst_robust
from mlvgm_robust.purify.results import results

TIMES = {"seconds", "decision_seconds"}


def all_units(config: PurifyConfig) -> list[Unit]:
    return list(PurifyJob().wave(config, toy_study(config), {}))


def timeless(run: RunDirectory) -> dict[str, dict[str, Any]]:
    return {
        unit: {key: value for key, value in record.items() if key not in TIMES}
        for unit, record in finished_units(run).items()
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    config = toy_config()
    run = toy_run(tmp_path_factory.mktemp("toy") / "whole", config)
    do(run, config)
    return run


def test_every_unit_has_its_record_and_its_images(whole: RunDirectory) -> None:
    records = finished_units(whole)
    assert set(records) == {unit.name for unit in all_units(toy_config())} and len(records) == 12
    for unit, record in records.items():
        shard = whole.read_images(unit)
        images, labels = Levels().batch("test", record["samples"])
        assert torch.equal(shard["original"], images) and shard["labels"].tolist() == labels.tolist()
        assert shard["samples"].tolist() == record["samples"] and record["labels"] == labels.tolist()
        assert record["shard"] == hashlib.sha256(whole.shard(unit).read_bytes()).hexdigest()
    assert whole.state == "finished" and whole.read_json("metrics.json") == json.loads(
        json.dumps(results(toy_config(), records))
    )


def test_an_attack_with_a_limit_is_on_the_first_images_only() -> None:
    limited = [{"label": "shift", "attack": {"name": "shift"}, "limit": 6, "rows": ["noisy"]}]
    found = all_units(toy_config(attacks=[*limited, toy_config().attacks[1].model_dump()]))
    assert [unit.work.samples for unit in found if unit.work.attack == "shift"] == [(0, 1, 2, 3), (4, 5)]
    assert len([unit for unit in found if unit.work.attack == "stay"]) == 6


def test_images_are_on_disk_before_their_record(tmp_path: Path) -> None:
    """Killed after any step on files, a run has the images of every unit on record."""
    config = toy_config(limit=4)
    run = toy_run(tmp_path / "run", config)
    missing: list[str] = []
    append = RunDirectory.append

    def watched(self: RunDirectory, record: dict[str, Any]) -> None:
        if not self.shard(record["unit"]).is_file():
            missing.append(record["unit"])
        append(self, record)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunDirectory, "append", watched)
        do(run, config)
    assert missing == [] and len(finished_units(run)) == 4


@pytest.mark.parametrize("seed", range(4))
def test_cut_anywhere_and_gone_on_with_the_decisions_are_the_same(
    whole: RunDirectory, tmp_path: Path, seed: int
) -> None:
    config, run, seen = toy_config(), toy_run(tmp_path / "run", toy_config()), 0

    def interrupted(*_: object) -> None:
        nonlocal seen
        seen += 1
        if seen % (5 + seed) == 0:
            os.kill(os.getpid(), (signal.SIGTERM, signal.SIGHUP)[seen % 2])

    for _ in range(40):
        try:
            do(run, config, progress=interrupted)
        except Exception as stopped:
            assert type(stopped).__name__ == "Stopped" and run.state == "stopped"
        else:
            break
    assert run.state == "finished" and timeless(run) == timeless(whole)


def test_workers_share_the_units(whole: RunDirectory, tmp_path: Path) -> None:
    class Alone(Workers):
        """One of two, the other of which has died: nothing is agreed on or waited for."""

        def agree(self, value: Any) -> Any:
            return value

        def wait(self) -> None:
            return

    config = toy_config()
    toy_run(tmp_path / "run", config)
    for rank in (1, 0):
        with pytest.raises(Stopped, match="was another process's, which has not done it"):
            do(RunDirectory(tmp_path / "run", rank), config, workers=Alone(rank, 2))
    run = RunDirectory(tmp_path / "run")
    assert 6 <= len(timeless(run)) < 12, "each did its own half of what was left"
    do(run, config)
    assert timeless(run) == timeless(whole) and run.records.exists() and (run.path / "records-1.jsonl").exists()
    assert run.state == "finished"


@pytest.mark.parametrize("samples", [[0, 1, 2, 4], [1, 0, 2, 3], [0, 1, 2], [4, 5, 6, 7]])
def test_records_of_other_samples_are_refused(tmp_path: Path, whole: RunDirectory, samples: list[int]) -> None:
    config, run = toy_config(), toy_run(tmp_path / "run", toy_config())
    record = next(iter(finished_units(whole).values()))
    assert record["samples"] == [0, 1, 2, 3]
    cut = {key: value[: len(samples)] if isinstance(value, list) else value for key, value in record.items()}
    labels = Levels().batch("test", samples)[1]
    run.append(cut | {"samples": samples, "labels": labels.tolist()})
    before = run.records.read_bytes()
    with pytest.raises(InputError, match=r"which images are those of unit .* has changed"):
        do(run, config)
    assert run.records.read_bytes() == before
    check_fits(PurifyJob(), config, toy_study(config), finished_units(whole))


def test_units_beyond_the_run_are_refused(whole: RunDirectory) -> None:
    fewer = toy_config(limit=8)
    with pytest.raises(InputError, match="which images are those of unit"):
        check_fits(PurifyJob(), fewer, toy_study(fewer), finished_units(whole))


def test_records_of_another_run_are_refused(whole: RunDirectory) -> None:
    done, job = finished_units(whole), PurifyJob()
    assert job.contradiction(toy_config(), done) == ""
    one = next(iter(done.values()))
    for change, said in (
        ({"defence": "theirs"}, "of 'theirs' under 'shift', which is not in the run's configuration"),
        ({"attack": "theirs"}, "of 'noisy' under 'theirs'"),
    ):
        assert said in job.contradiction(toy_config(), {"unit": {**one, **change}})
    assert "of image 11, which is not" in job.contradiction(toy_config(limit=8), done)
    shorter = [{"label": "shift", "attack": {"name": "shift"}, "limit": 4}, toy_config().attacks[1].model_dump()]
    said = job.contradiction(toy_config(attacks=shorter), {"unit": done["shift--noisy--000004"]})
    assert "of image 7, which is not" in said


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"labels": [1, 0, 0, 0]}, "image 0 is of class 1 in unit 'other' and of class 0"),
        ({"samples": [3, 4, 5, 6], "labels": [0, 0, 0, 1]}, "image 3 is in unit .* and again in 'other'"),
        ({"eps": 0.3, "samples": [20, 21, 22, 23]}, "'other' has another norm or radius"),
        ({"norm_name": "L2", "samples": [20, 21, 22, 23]}, "'other' has another norm or radius"),
    ],
)
def test_records_that_contradict_each_other(
    whole: RunDirectory, tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    run = toy_run(tmp_path / "run", toy_config())
    first = finished_units(whole)["shift--noisy--000000"]
    run.append(first)
    run.append(first)  # twice the same unit is no contradiction
    assert len(finished_units(run)) == 1
    run.append({**first, "unit": "other", **change})
    with pytest.raises(InputError, match=said):
        finished_units(run)


def test_worst_robust_is_the_lowest_over_attacks(whole: RunDirectory) -> None:
    result = results(toy_config(), finished_units(whole))
    rows = {(row["label"], row["attack"]): row["robust"]["value"] for row in result["rows"]}
    assert rows["undefended", "stay"] == 1.0
    # Levels within 0.2 of the boundary cross it: 0.05 + 0.9 k / 11 lies in (0.3, 0.7) for 4 of 12.
    assert rows["undefended", "shift"] == pytest.approx(8 / 12)
    assert worst_robust(result, "undefended") == pytest.approx(8 / 12)
    assert in_short(result) == (1.0, worst_robust(result, "noisy")) and in_short({"rows": []}) is None
    assert result["partial"] and results_module._partial(toy_config(limit=64)) is False


def test_a_full_disk_stops_a_run_and_loses_nothing(whole: RunDirectory, tmp_path: Path) -> None:
    config, run = toy_config(), toy_run(tmp_path / "run", toy_config())
    writes, real = [0], os.fsync

    def full(handle: int) -> None:
        writes[0] += 1
        if writes[0] > 10:
            raise OSError(28, "No space left on device")
        real(handle)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.raises(Exception, match="the disk is full; every finished unit is safe") as stopped:
            do(run, config)
    assert getattr(stopped.value, "exit_code", None) == 3
    kept = timeless(run)
    assert kept and all(run.shard(unit).is_file() for unit in kept)
    do(run, config)
    assert timeless(run) == timeless(whole) and kept.items() <= timeless(run).items()
    assert run.read_json("metrics.json") == json.loads(json.dumps(results(config, finished_units(run))))
