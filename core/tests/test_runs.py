"""Run directories: records survive a kill, files are whole or absent, configuration remembers its sources."""

from __future__ import annotations

import errno
import hashlib
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mlvgm.errors import ConfigError, InputError, Stopped
from mlvgm.files import check_writable
from mlvgm.pipelines.purify import summarise, units
from mlvgm.runs import records
from mlvgm.runs.config import checked, load_config
from mlvgm.runs.inputs import check_unchanged, file_hashes, unit_configurations
from mlvgm.runs.results import finished_units
from mlvgm.runs.rundir import RunDirectory
from mlvgm.runs.settings import flatten, from_assignments, from_environment, nest, parse_value
from mlvgm.runs.work import stopping_on_signals


def make_run(path: Path) -> RunDirectory:
    return RunDirectory.create(path, name="test", config="run: purify\n", environment={"threads": 1})


def test_an_unfinished_line_is_dropped_and_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    records.append(path, {"unit": "a", "n": 1})
    with path.open("ab") as file:
        file.write(b'{"unit": "b", "n"')  # a process killed while writing
    assert [record["unit"] for record in records.read(path)] == ["a"]
    records.append(path, {"unit": "b", "n": 2})
    assert [(record["unit"], record["n"]) for record in records.read(path)] == [("a", 1), ("b", 2)]


def test_a_file_that_is_only_an_unfinished_line(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    path.write_bytes(b'{"unit":')
    assert list(records.read(path)) == []
    records.append(path, {"unit": "a"})
    assert [record["unit"] for record in records.read(path)] == ["a"]


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    path.write_text('{"unit": "a"}\nnonsense\n{"unit": "b"}\n')
    with pytest.raises(InputError, match="line 2"):
        list(records.read(path))


@pytest.mark.parametrize("line", ["[1]", "3", '{"n": 1}', '{"unit": 7}'])
def test_what_is_json_and_no_record_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "records.jsonl"
    path.write_text('{"unit": "a"}\n' + line + "\n")
    with pytest.raises(InputError, match=r"records\.jsonl: line 2 is not a record"):
        list(records.read(path))


def whole_record() -> dict[str, Any]:
    images: dict[str, Any] = {"samples": [0, 1], "labels": [0, 1]}
    images |= {key: [True, False] for key in ("clean", "robust", "violations")}
    images |= {key: [0.0, 1.0] for key in ("clean_single", "robust_single", "chance", "norm")}
    whole: dict[str, Any] = {"unit": "a", "defence": "d", "attack": "a", "norm_name": "L2", "eps": None, **images}
    whole |= {"forwards": 1, "backwards": 1, "paths": [], "seconds": 1.0, "decision_seconds": 1.0}
    return whole | {"differentiable": True}


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
    run, whole = make_run(tmp_path / "run"), whole_record()
    run.append(whole)
    assert finished_units(run) == {"a": whole}
    changed = whole | {"unit": "b"} | change
    run.append({key: value for key, value in changed.items() if value is not ...})
    with pytest.raises(InputError, match=r"records\.jsonl: line 2 is not a record") as refused:
        finished_units(run)
    assert said in str(refused.value)


def test_the_first_record_of_a_unit_counts(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    run.append({"unit": "a", "n": 1})
    run.append({"unit": "a", "n": 2})
    assert run.finished()["a"]["n"] == 1


def test_images_come_back_bit_by_bit(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    images = torch.rand(3, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    run.write_images("unit", {"adversarial": images})
    assert torch.equal(run.read_images("unit")["adversarial"], images)


def test_damaged_files_of_a_run_are_named(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path / "run", name="n", config="run: purify\n", environment={})
    run.write_images("unit", {"a": torch.rand(2, 2)})
    path = run.path / "images" / "unit.safetensors"
    path.write_bytes(path.read_bytes()[:10])
    for unit in ("unit", "gone"):
        with pytest.raises(InputError, match=f"cannot read images '.*{unit}.safetensors'"):
            run.read_images(unit)
    (run.path / "status.json").write_text("{")
    with pytest.raises(InputError, match=r"status.json' is damaged"):
        _ = run.state


def test_used_and_unwritable_folders_are_refused(tmp_path: Path) -> None:
    make_run(tmp_path / "run")
    with pytest.raises(InputError, match="not empty"):
        make_run(tmp_path / "run")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write"):
        check_writable(tmp_path / "file" / "run")
    with pytest.raises(InputError, match="cannot write"):
        make_run(tmp_path / "file" / "run")
    with pytest.raises(InputError, match="not a run directory"):
        RunDirectory.open(tmp_path)


def test_a_full_disk_is_one_resumable_message(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    run.append({"unit": "a"})
    with pytest.raises(Stopped, match="resume"), run.keeping_records():
        raise OSError(errno.ENOSPC, "No space left on device")
    assert list(run.finished()) == ["a"]


def test_a_disk_full_at_the_start_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", refuse)
    with pytest.raises(InputError, match="No space left"):
        make_run(tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_termination_passes_code_that_catches_exceptions(
    number: signal.Signals, request: pytest.FixtureRequest
) -> None:
    before = signal.signal(number, signal.SIG_DFL)  # under nohup it is ignored, and stays so
    request.addfinalizer(lambda: signal.signal(number, before))
    with pytest.raises(Stopped, match=f"{number.name}.*go on so"), stopping_on_signals("go on so"):
        try:
            os.kill(os.getpid(), number)
            time.sleep(5)
        except Exception:  # a hook's failure is told and passed over
            pass


def test_replaced_files_leave_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(tmp_path / "run")
    run.write_json("metrics.json", {"old": 1})

    def refuse(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", refuse)
    with pytest.raises(OSError):
        run.write_json("metrics.json", {"new": 1})
    assert run.read_json("metrics.json") == {"old": 1}
    assert not list(run.path.glob(".metrics*"))


@pytest.mark.parametrize(
    ("text", "value"),
    [("8/255", 8 / 255), ("1e-3", 0.001), ("true", True), ("null", None), ("keep:6", "keep:6"), ("[0, 0.5]", [0, 0.5])],
)
def test_values_as_users_write_them(text: str, value: object) -> None:
    assert parse_value(text) == value


keys = st.from_regex(r"[a-z]{1,3}(\.[a-z]{1,3}){0,2}", fullmatch=True)


@given(st.dictionaries(keys, st.integers(), max_size=6))
def test_nest_inverts_flatten(flat: dict[str, int]) -> None:
    try:
        tree = nest(flat)
    except ConfigError:
        parents = {key.rsplit(".", n)[0] for key in flat for n in range(1, key.count(".") + 1)}
        assert parents & set(flat)  # refused only where one key is both an option and a group
    else:
        assert flatten(tree) == flat


def test_settings_remember_where_they_come_from() -> None:
    assert from_assignments(["attack.eps=8/255"], source="--set")["attack.eps"].source == "--set"
    found = from_environment({"MLVGM_SET_ATTACK__EPS": "0.5", "HOME": "/"})
    assert {key: (s.value, s.source) for key, s in found.items()} == {"attack.eps": (0.5, "$MLVGM_SET_ATTACK__EPS")}
    with pytest.raises(ConfigError, match="KEY=VALUE"):
        from_assignments(["attack.eps"], source="--set")


def test_units_are_fixed_blocks_and_their_names_are_unique() -> None:
    attacks = {"apgd-ce, eps 1": ["α = 0", "none"], "square": ["none"]}
    made = units(attacks, range(40), block=16)
    assert [len(unit.samples) for unit in made] == [16, 16, 8] * 3
    assert len({unit.name for unit in made}) == 9
    longer = units(attacks, range(64), block=16)
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
    records = {"unit": {"defence": "a", "attack": "square", "configuration": configuration}}
    check_unchanged(before, records, config)
    check_unchanged({}, {}, config)
    more = {"label": "b", "purifier": named}
    check_unchanged(before, records, checked(tree | {"rows": [more, *tree["rows"]], "limit": 7, "budget": "standard"}))
    other = [{"label": "square", "attack": {"name": "square", "eps": 0.5}}]
    for change in ({"seed": 1}, {"attacks": other}, {"rows": [more]}):
        with pytest.raises(InputError, match="the configuration of 'a' under 'square' has changed"):
            check_unchanged({}, records, checked(tree | change))
    Path("their.safetensors").write_bytes(b"two")
    with pytest.raises(InputError, match=r"'their\.safetensors' has changed"):
        check_unchanged(before, records, config)
    Path("their.safetensors").unlink()
    with pytest.raises(InputError, match=r"'their\.safetensors' has changed"):
        check_unchanged(before, records, config)


def test_a_run_of_another_kind_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("run: alphas\n")
    with pytest.raises(ConfigError, match=r"is a run of `mlvgm run alphas` \(`mlvgm run alphas --out"):
        load_config(tmp_path / "config.yaml")


@pytest.mark.parametrize("text", ["limit: 4\n", "run: purify\nthreads: 1\n", "data: 3\ndata.name: x\n"])
def test_a_configuration_that_is_no_runs_own_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as refused:
        load_config(path)
    assert str(refused.value).startswith(f"'{path}' is not a run's config.yaml: ")
    assert str(refused.value).count("run.data: is required") == ("data" not in text)


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
