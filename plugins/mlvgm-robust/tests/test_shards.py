"""Shards: what others may read and write, and scoring them without an attack."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from toys import Additive, Brightness, Shift

from mlvgm.errors import InputError
from mlvgm_robust.evaluation.defence import Defence
from mlvgm_robust.evaluation.harness import Protocol, run_attack
from mlvgm_robust.purify.shards import Shard, read_shard, shard_metadata
from mlvgm_robust.score.rescore import rescore, score_rows

RECORD = {"defence": "it", "attack": "shift", "norm_name": "Linf", "eps": 0.1, "labels": [0, 1], "samples": [7, 3]}


def tensors(**changes: Tensor | None) -> dict[str, Tensor]:
    good: dict[str, Tensor | None] = {
        "original": torch.full((2, 1, 4, 4), 0.4),
        "adversarial": torch.full((2, 1, 4, 4), 0.45),
        "labels": torch.tensor([0, 1]),
    }
    return {name: value for name, value in (good | changes).items() if value is not None}


def test_the_header_says_what_a_shard_is(tmp_path: Path) -> None:
    path = tmp_path / "one.safetensors"
    save_file(tensors(samples=torch.tensor([7, 3])), path, shard_metadata(RECORD, seed=5, split="test"))
    shard = read_shard(path)
    assert (shard.defence, shard.attack, shard.norm, shard.eps, shard.samples) == ("it", "shift", "Linf", 0.1, (7, 3))
    with safe_open(path, "np") as file:  # another reader, without torch
        assert file.metadata()["seed"] == "5" and file.get_tensor("labels").tolist() == [0, 1]
    size = int.from_bytes(path.read_bytes()[:8], "little")  # and none at all
    assert json.loads(path.read_bytes()[8 : 8 + size])["__metadata__"]["format"] == "mlvgm-shard"


def test_a_foreign_shard_and_one_of_an_earlier_version(tmp_path: Path) -> None:
    path = tmp_path / "one.safetensors"
    save_file(tensors(), path)
    foreign = read_shard(path)
    assert (foreign.samples, foreign.norm, foreign.eps, foreign.defence) == (None, None, None, "")
    save_file(tensors(labels=None), path)
    early = read_shard(path, record=RECORD)
    assert early.labels.tolist() == [0, 1] and early.samples == (7, 3) and early.eps == 0.1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"adversarial": None}, "no tensor 'adversarial'"),
        ({"labels": None}, "no tensor 'labels'"),
        ({"adversarial": torch.zeros(2, 1, 4, 5)}, r"adversarial is float32 \(2, 1, 4, 5\)"),
        ({"adversarial": torch.full((2, 1, 4, 4), torch.nan)}, "NaN"),
        ({"original": torch.full((2, 1, 4, 4), torch.inf)}, "NaN or infinite"),
        ({"original": torch.full((2, 1, 4, 4), 2.0)}, "expected values in"),
        ({"original": torch.zeros(2, 16)}, "expected float32"),
        ({"labels": torch.zeros(3, dtype=torch.int64)}, r"labels is int64 \(3,\), expected 2 integers"),
        ({"labels": torch.zeros(2)}, "expected 2 integers"),
        ({"labels": torch.tensor([0, -1])}, "labels begin at 0"),
        ({"samples": torch.tensor([1, 1])}, "same sample id"),
        ({"original": torch.zeros(0, 1, 4, 4), "adversarial": torch.zeros(0, 1, 4, 4)}, "no images"),
    ],
)
def test_bad_shards(tmp_path: Path, changes: dict[str, Tensor | None], said: str) -> None:
    path = tmp_path / "bad.safetensors"
    save_file(tensors(**changes), path)
    with pytest.raises(InputError, match=said):
        read_shard(path)


@pytest.mark.parametrize(
    ("header", "said"), [({"eps": "much"}, "no number"), ({"norm": "L3"}, "L3"), ({"eps": "-1"}, "-1")]
)
def test_bad_headers(tmp_path: Path, header: dict[str, str], said: str) -> None:
    path = tmp_path / "bad.safetensors"
    save_file(tensors(), path, header)
    with pytest.raises(InputError, match=said):
        read_shard(path)


def test_no_safetensors(tmp_path: Path) -> None:
    path = tmp_path / "bad.safetensors"
    path.write_bytes(b"nonsense")
    with pytest.raises(InputError, match="cannot read shard"):
        read_shard(path)


def attacked_shard(seed: int) -> tuple[Defence, Shard, Protocol, Tensor, Tensor]:
    levels = torch.linspace(0.05, 0.95, 64)
    images = levels[:, None, None, None].expand(-1, 1, 4, 4).contiguous()
    labels = (levels > 0.5).long()
    defence, protocol = Defence(Brightness(), Additive(0.3), votes=3), Protocol(seed=seed)
    attacked = run_attack(defence, Shift(0.1, 0.1), images, labels, samples=range(100, 164), protocol=protocol)
    shard = Shard("one", images, attacked.images, labels, tuple(range(100, 164)), "it", "shift", "Linf", 0.1)
    return defence, shard, protocol, attacked.clean.right, attacked.robust.right


def test_the_same_seed_gives_the_same_decisions_and_another_does_not() -> None:
    defence, shard, protocol, clean, robust = attacked_shard(3)
    assert shard.samples is not None
    again = rescore(defence, shard, samples=shard.samples, protocol=protocol)
    assert torch.equal(again.clean, clean) and torch.equal(again.robust, robust)
    (row,) = score_rows("it", [again], recorded={"one": robust.tolist()})
    assert (row.changed, row.refused, row.images) == (0, 0, 64)
    fresh = rescore(defence, shard, samples=shard.samples, protocol=Protocol(seed=4))
    (row,) = score_rows("it", [fresh], recorded={"one": robust.tolist()})
    assert row.changed is not None and row.changed > 0


def test_what_lies_outside_ball_or_box_is_refused() -> None:
    original = torch.full((3, 1, 4, 4), 0.6)
    adversarial = original.clone()
    adversarial[0] = 0.45  # outside the ball, and it would be a success
    adversarial[1] = -0.2
    shard = Shard("one", original, adversarial, torch.tensor([1, 1, 1]), norm="Linf", eps=0.1)
    scored = rescore(Defence(Brightness()), shard, samples=range(3), protocol=Protocol())
    assert scored.refused.tolist() == [True, True, False] and scored.robust.all()
    (row,) = score_rows("it", [scored])
    assert (row.refused, row.robust.value, row.robust_single.value) == (2, 1 / 3, 1 / 3)
    when_made = Shard(
        "one", original, original, torch.tensor([1, 1, 1]), norm="Linf", eps=0.1, refused=(True, False, False)
    )
    (row,) = score_rows("it", [rescore(Defence(Brightness()), when_made, samples=range(3), protocol=Protocol())])
    assert (row.refused, row.robust.value) == (1, 2 / 3)
    unknown = Shard("one", original, adversarial, torch.tensor([1, 1, 1]))
    scored = rescore(Defence(Brightness()), unknown, samples=range(3), protocol=Protocol())
    assert scored.refused.tolist() == [False, True, False] and scored.robust.tolist() == [False, True, True]


def test_labels_that_are_no_classes() -> None:
    shard = Shard("one", torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 4), torch.tensor([2]))
    with pytest.raises(InputError, match="label 2, the classifier has 2 classes"):
        rescore(Defence(Brightness()), shard, samples=(0,), protocol=Protocol())
