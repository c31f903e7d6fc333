"""Records of units read back: what no run writes is named, whatever it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from toy_record import whole_record

from mlvgm.errors import InputError
from mlvgm.runs.rundir import RunDirectory
from mlvgm_robust.purify.recorded import contradiction, problem_of
from mlvgm_robust.purify.shards import read_shard, shard_metadata

NAN, INF = float("nan"), float("inf")
NUMBERS = ("clean_single", "robust_single", "chance", "norm")


def test_a_whole_record_has_no_problem() -> None:
    assert problem_of(whole_record()) == ""
    assert problem_of(whole_record() | {"eps": 0, "paths": ["bpda", "transfer"], "more": NAN}) == ""
    assert contradiction([whole_record()]) == ""


@pytest.mark.parametrize(
    "change",
    [
        *({key: [0.5, bad]} for key in NUMBERS for bad in (NAN, INF, -0.1, None, "1", True, [1])),
        *({key: [0.5, 1.5]} for key in NUMBERS if key != "norm"),
        *({key: [True, bad]} for key in ("clean", "robust", "violations") for bad in (1, 0.0, None, "true")),
        *({key: [0, bad]} for key in ("samples", "labels") for bad in (-1, 1.5, True, "1", None, 2**64, [])),
        *({key: bad} for key in ("defence", "attack") for bad in (None, 3, ["a"], {})),
        *({"norm_name": bad} for bad in ("L9", None, 2, "")),
        *({"eps": bad} for bad in (NAN, INF, -1, "1", True, [])),
        *({key: bad} for key in ("forwards", "backwards") for bad in (-1, 1.5, NAN, None, "1")),
        *({key: bad} for key in ("seconds", "decision_seconds") for bad in (-1, NAN, INF, None, "1")),
        *({"paths": bad} for bad in (None, "exact", ["other"], [None], {})),
        *({"differentiable": bad} for bad in (1, None, "yes")),
        *({"samples": bad} for bad in ([], None, "01", {})),
        {key: [] for key, value in whole_record().items() if isinstance(value, list)},
    ],
)
def test_what_no_run_writes_is_named(change: dict[str, Any]) -> None:
    said = problem_of(whole_record() | change)
    assert any(f"'{key}'" in said for key in change) and len(said) < 120


def test_shards_of_units_are_checked_against_their_records(tmp_path: Path) -> None:
    """Missing, truncated, another unit's, changed in a bit: each is named; without a digest all but the last."""
    run = RunDirectory.create(tmp_path / "run", name="n", config="run: purify\n", environment={})
    records = {}
    for unit, samples in (("a", [0, 1]), ("b", [2, 3])):
        record = whole_record() | {"unit": unit, "samples": samples, "labels": [0, 1], "eps": 1.0}
        images = torch.full((2, 1, 4, 4), 0.25)
        tensors = {"original": images, "adversarial": images + 0.1, "labels": torch.tensor([0, 1])}
        tensors["samples"] = torch.tensor(samples)
        digest = run.write_images(unit, tensors, shard_metadata(record, seed=0, split="test"))
        records[unit] = record | {"shard": digest}
    old = {key: value for key, value in records["a"].items() if key != "shard"}
    whole, other = run.shard("a").read_bytes(), run.shard("b").read_bytes()
    for record in (records["a"], old):
        assert read_shard(run.shard("a"), record=record).samples == (0, 1)

    def refused(content: bytes | None, record: dict[str, Any]) -> str:
        run.shard("a").unlink(missing_ok=True)
        if content is not None:
            run.shard("a").write_bytes(content)
        with pytest.raises(InputError) as error:
            read_shard(run.shard("a"), record=record)
        return error.value.message

    for record in (records["a"], old):
        for content in (None, b"", whole[:50], whole[:-1], b"\x00" * 99, b"junk" * 100):
            assert refused(content, record).startswith(f"cannot read shard '{run.shard('a')}'")
    assert "not the file on record (SHA-256" in refused(other, records["a"])
    assert "it is not of unit 'a': its samples is [2, 3], on record [0, 1]" in refused(other, old)
    changed = bytearray(whole)
    changed[-1] ^= 1
    assert "not the file on record" in refused(bytes(changed), records["a"])
    run.shard("a").write_bytes(whole)
    for change in ({"defence": "x"}, {"attack": "x"}, {"norm_name": "L1"}, {"eps": 2.0}, {"labels": [1, 1]}):
        with pytest.raises(InputError, match="it is not of unit 'a'"):
            read_shard(run.shard("a"), record=old | change)
