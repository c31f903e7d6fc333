"""Blocks, their records, and the configurations of purification runs."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from toy_record import whole_record

from mlvgm.configuration.files import check_unchanged, file_hashes
from mlvgm.errors import ConfigError, InputError
from mlvgm.runs.rundir import RunDirectory
from mlvgm.runs.stored import stored
from mlvgm_robust.purify.config import checked
from mlvgm_robust.purify.inputs import unit_configurations
from mlvgm_robust.purify.job import PurifyJob
from mlvgm_robust.purify.units import blocks, summarise


@pytest.mark.parametrize(
    ("change", "said"),
    [
        *(({key: ...}, f"no '{key}'") for key in whole_record() if key != "unit"),
        *(
            ({key: bad}, f"'{key}' is no list of one entry for each image")
            for key, value in whole_record().items()
            if isinstance(value, list) and key not in ("samples", "paths")
            for bad in ([True], 0.5)
        ),
    ],
)
def test_a_unit_that_lacks_something_is_named(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    run, whole = RunDirectory.create(tmp_path / "run", name="r", config="run: purify\n", environment={}), whole_record()
    run.append(whole)
    assert run.finished(problem=PurifyJob().problem) == {"a": whole}
    changed = whole | {"unit": "b"} | change
    run.append({key: value for key, value in changed.items() if value is not ...})
    with pytest.raises(InputError, match=r"records\.jsonl: line 2 is not a record") as refused:
        run.finished(problem=PurifyJob().problem)
    assert said in str(refused.value)


def test_blocks_are_fixed_and_their_names_are_unique() -> None:
    attacks = {"apgd-ce, eps 1": ["α = 0", "none"], "square": ["none"]}
    made = blocks(attacks, range(40), block=16)
    assert [len(unit.samples) for unit in made] == [16, 16, 8] * 3
    assert len({unit.name for unit in made}) == 9
    longer = blocks(attacks, range(64), block=16)
    assert {unit.name for unit in made if len(unit.samples) == 16} <= {unit.name for unit in longer}


def test_summary_pools_images_not_units() -> None:
    def record(right: list[bool]) -> dict[str, object]:
        shares = [float(value) for value in right]
        return {
            "defence": "x", "attack": "square", "norm_name": "L2", "eps": 1.0, "differentiable": True, "paths": [],
            "samples": list(range(len(right))), "clean": right, "robust": right, "clean_single": shares,
            "robust_single": shares, "decision_seconds": 0.001 * len(right), "seconds": 1.0, "forwards": 10,
            "backwards": 5, "violations": [False] * len(right),
        }  # fmt: skip

    row = summarise([record([True] * 3), record([False])])
    assert row.clean.value == 0.75 and row.images == 4 and (row.label, row.attack) == ("x", "square")
    assert (row.seconds, row.forwards, row.backwards) == (2.0, 20, 10)
    assert row.decision_milliseconds == pytest.approx(1.0)


def test_changed_configuration_and_weights_are_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for plugin in ("mlvgm_nvae", "mlvgm_robust", "mlvgm_vision"):
        pytest.importorskip(plugin)
    monkeypatch.chdir(tmp_path)
    named = {"name": "none"}
    attacks = [{"label": "square", "attack": {"name": "square"}}]
    tree = {"threads": 1, "data": {"name": "fashion-mnist"}, "attacks": attacks, "rows": [
        {"label": "a", "purifier": named, "generator": {"name": "nvae", "weights": "clean"}},
    ], "classifier": {"name": "fashion-cnn", "weights": "their.safetensors"}}  # fmt: skip
    Path("their.safetensors").write_bytes(b"one")
    config = checked(tree)
    before = file_hashes(config)
    assert set(before) == {"their.safetensors", "mlvgm_nvae:weights/clean.safetensors"}
    assert before["their.safetensors"] == hashlib.sha256(b"one").hexdigest()
    ((key, configuration),) = unit_configurations(config).items()
    assert key == ("a", "square")
    check_unchanged(before, config)
    check_unchanged({}, config)
    more = {"label": "b", "purifier": named}
    grown = checked(tree | {"rows": [more, *tree["rows"]], "limit": 7, "budget": "standard"})
    check_unchanged(before, grown)
    assert unit_configurations(grown)["a", "square"] == configuration
    other = [{"label": "square", "attack": {"name": "square", "eps": 0.5}}]
    for change in ({"seed": 1}, {"attacks": other}, {"rows": [more]}):
        assert unit_configurations(checked(tree | change)).get(("a", "square")) != configuration
    Path("their.safetensors").write_bytes(b"two")
    with pytest.raises(InputError, match=r"'their\.safetensors' has changed"):
        check_unchanged(before, config)
    Path("their.safetensors").unlink()
    with pytest.raises(InputError, match=r"'their\.safetensors' has changed"):
        check_unchanged(before, config)


@pytest.mark.parametrize(
    "text", ["run: purify\nlimit: 4\n", "run: purify\nthreads: 1\n", "run: purify\ndata: 3\ndata.name: x\n"]
)
def test_a_configuration_that_is_no_runs_own_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as refused:
        stored(tmp_path)
    assert str(refused.value).startswith(f"'{path}' is not a run's config.yaml: ")
    assert str(refused.value).count("run.data: is required") == ("data" not in text)


def test_a_configuration_that_names_no_job_is_no_runs_own(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("limit: 4\n")
    with pytest.raises(InputError, match=r"is not a run's config\.yaml: it names no job"):
        stored(tmp_path)


@pytest.mark.parametrize("kind", ["rows", "attacks"])
@pytest.mark.parametrize(
    ("labels", "said"), [("AA", "the label 'A' is there twice"), (("A 1", "a-1"), "but for signs other than letters")]
)
def test_labels_differ(kind: str, labels: tuple[str, str], said: str) -> None:
    one = {"data": {"name": "d"}, "classifier": {"name": "c"}, "threads": 1}
    rows = [{"label": label, "purifier": {"name": "none"}} for label in (labels if kind == "rows" else "x")]
    attacks = [{"label": label, "attack": {"name": "fgsm"}} for label in (labels if kind == "attacks" else "x")]
    with pytest.raises(ConfigError, match=said) as refused:
        checked({**one, "rows": rows, "attacks": attacks})
    assert kind in str(refused.value)
