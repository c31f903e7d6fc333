"""``mlvgm report`` and ``mlvgm run score`` on small runs."""

from __future__ import annotations

import base64
import importlib.util
import json
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import mlvgm.configuration.build
from mlvgm.cli.main import main
from mlvgm.protocols.job import Source
from mlvgm.runs.stored import stored
from mlvgm_robust.purify.sections import merged

SMALL = ("--quiet", "--threads", "1", "-n", "10", "--set", "block=6", "--set", "votes=3", "--set", "eot=2")
SMALL += ("--set", "selection=4", "--set", "attack.iterations=3", "--set", "compare=true")
VOID = {"meta", "img", "br", "link", "input", "hr"}


def run(*arguments: object, code: int = 0) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([str(argument) for argument in arguments])
    assert stopped.value.code == code


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three defences under APGD at two radii and a minimal-norm attack."""
    path = tmp_path_factory.mktemp("study") / "one"
    attacks = ("--attack", "apgd-ce", "--attack", "fmn", "--set", "radii=[0.5,1]")
    run("run", "purify", "--purifier", "noise", *attacks, *SMALL, "--out", path)
    return path


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same defences under another attack."""
    path = tmp_path_factory.mktemp("study") / "two"
    run("run", "purify", "--purifier", "noise", "--attack", "pgd", *SMALL, "--out", path)
    return path


@pytest.fixture
def said(capfd: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Run a command with ``--json`` and give its object."""

    def ask(*arguments: object, code: int = 0) -> Any:
        capfd.readouterr()
        run(*arguments, "--json", code=code)
        return json.loads(capfd.readouterr().out)

    return ask


class Page(HTMLParser):
    """What a browser would find: whether tags nest, what is loaded from elsewhere, images and their texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.outside: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        found = dict(attrs)
        self.outside += [str(found[key]) for key in ("src", "href", "srcset") if key in found]
        if tag in ("script", "iframe", "link"):
            self.outside.append(tag)
        if tag == "img":
            self.images.append(found)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(self.words)


def check_page(path: Path) -> Page:
    text = path.read_text()
    page = Page(text)
    assert "url(" not in text and "@import" not in text
    for link in page.outside:
        kind, _, data = link.partition(",")
        assert kind == "data:image/png;base64" and base64.b64decode(data, validate=True).startswith(b"\x89PNG"), link
    assert page.images and all(len(image["alt"] or "") > 20 for image in page.images)
    return page


def test_a_run_leaves_a_page_and_its_figures(study: Path) -> None:
    page = check_page(study / "report.html")
    names = {"accuracy", "curves-l2", "distances-l2", "images-noise", "images-undefended", "images-blur-only"}
    assert {path.stem for path in (study / "figures").glob("*.png")} == names
    assert len(page.images) == len(names)
    assert any("ankle boot right" in str(one["alt"]) or "ankle boot wrong" in str(one["alt"]) for one in page.images)
    for words in ("worst case, L2 ≤ 0.5", "threat model", "white box", "McNemar", "selection: 4", '"torch":'):
        assert words in page.text, words
    assert "not finished" not in page.text


def test_metrics_hold_worst_case_and_curves(study: Path) -> None:
    metrics = json.loads((study / "metrics.json").read_text())
    assert [(one["label"], one["eps"]) for one in metrics["worst"]] == [
        (label, eps) for label in ("noise", "undefended", "blur only") for eps in (0.5, 1.0)
    ]
    under = {(one["label"], one["attack"]): one["robust"]["value"] for one in metrics["rows"]}
    for one in metrics["worst"]:
        assert sum(one["attacks"].values()) == one["images"] == 10
        if one["label"] != "noise":  # deterministic: never above any attack
            assert one["robust"]["value"] <= under[one["label"], f"apgd-ce, eps {one['eps']:g}"]
    kinds = {(one["label"], one["kind"]) for one in metrics["curves"]}
    assert kinds == {(label, kind) for label, _ in kinds for kind in ("fixed", "minimal", "worst")}
    for curve in metrics["curves"]:
        assert len(curve["radii"]) == len(curve["value"]) == len(curve["low"]) == len(curve["high"])
    assert all(len(one["values"]) == 10 for one in metrics["distances"]) and len(metrics["distances"]) == 3
    assert metrics["partial"] is True


def test_the_terminal_shows_worst_case_and_notes(study: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run("runs", "show", study)
    out = capfd.readouterr().out
    assert "point-wise worst case" in out and "L2 ≤ 0.5" in out and "blur only: Gaussian blur" in out


def test_runs_on_the_same_images_are_merged(study: Path, other: Path, tmp_path: Path, said: Callable[..., Any]) -> None:
    page, tables, figures = tmp_path / "both.html", tmp_path / "tables.md", tmp_path / "figures"
    told = said("report", study, other, "--out", page, "--markdown", tables, "--figures", figures)
    (section,) = told["sections"]
    assert section["finished"] and section["remark"] == ""
    comparison = next(one for one in section["tables"] if one["title"].startswith("Comparison"))
    assert comparison["head"][2:6] == ["apgd-ce, eps 0.5", "apgd-ce, eps 1", "fmn", "pgd"]
    assert comparison["head"][-1].startswith("worst case") and len(comparison["body"]) == 3
    assert not any("–" in row for row in comparison["body"])
    check_page(page)
    markdown = tables.read_text()
    assert "| defence | clean | apgd-ce, eps 0.5 |" in markdown and "* blur only: Gaussian blur" in markdown
    assert {str(path) for path in figures.iterdir()} == set(told["figures"])


def read_source(path: Path) -> Source:
    found = stored(path)
    return Source(found.run, found.config, found.records, found.run.state)


def test_merging_does_not_depend_on_the_order(study: Path, other: Path) -> None:
    def outcomes(*runs: Path) -> dict[tuple[str, str], list[Any]]:
        (section,) = merged([read_source(path) for path in runs])
        return {(one.label, one.attack): [one.samples, one.robust.tolist()] for one in section.outcomes}

    assert outcomes(study, other) == outcomes(other, study)
    assert len(outcomes(study, study)) == 9, "what is there twice counts once"


@pytest.mark.parametrize(
    ("before", "after", "remark"),
    [
        ("limit: 10", "limit: 11", "is on the first 11 images"),
        ("votes: 3", "votes: 2", "'noise' is another defence"),
        ("split: test", "split: validation", "other data or another split"),
    ],
)
def test_other_runs_stand_apart(study: Path, other: Path, tmp_path: Path, before: str, after: str, remark: str) -> None:
    changed = tmp_path / "changed"
    shutil.copytree(other, changed)
    text = (changed / "config.yaml").read_text()
    assert before in text
    (changed / "config.yaml").write_text(text.replace(before, after))
    first, second = merged([read_source(study), read_source(changed)])
    assert first.remark == "" and remark in second.remark


def test_the_same_units_with_other_settings_stand_apart(study: Path, tmp_path: Path) -> None:
    changed = tmp_path / "changed"
    shutil.copytree(study, changed)
    records = [json.loads(line) for line in (changed / "records.jsonl").read_text().splitlines()]
    for record in records:
        record["configuration"] = "other"
    (changed / "records.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    page = tmp_path / "page.html"
    run("report", study, changed, "--out", page)
    text = check_page(page).text
    assert "Stands apart" in text and "has other settings in run 'changed'" in text


def test_published_figures_have_a_table_of_their_own(
    study: Path, tmp_path: Path, said: Callable[..., Any], capfd: pytest.CaptureFixture[str]
) -> None:
    run_of = tmp_path / "published"
    shutil.copytree(study, run_of)
    bounds = {"0.5": {"value": 0.5, "low": 0.2, "high": 0.8}, "10": {"value": 0, "low": 0, "high": 0.3}}
    row = {"defence": "noise", "attack": "fmn", "clean": 0.75, "distances": [0.0, 100.0], "robust": bounds}
    (run_of / "published.json").write_text(json.dumps([row, row | {"attack": "pgd", "robust": {"0.5": bounds["0.5"]}}]))
    (section,) = said("report", run_of, "--out", tmp_path / "page.html")["sections"]
    table = section["tables"][-1]
    assert table["title"] == "Published metric" and table["head"][3:] == ["clean", "L2 > 0.5", "L2 > 10"]
    assert table["body"][0] == ["noise", "fmn", "2", "75.0", "50.0 [20, 80]", "0.0 [0, 30]"]
    assert table["body"][1][-1] == "–"
    (run_of / "published.json").write_text('[{"defence": "noise"}]')
    run("report", run_of, code=2)
    assert "published.json' is damaged: 0.attack: " in capfd.readouterr().err


def test_an_unfinished_run_is_marked(study: Path, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    shutil.copytree(study, begun)
    lines = (begun / "records.jsonl").read_text().splitlines(keepends=True)
    (begun / "records.jsonl").write_text("".join(lines[:3]) + lines[3][:40])
    (begun / "status.json").write_text('{"state": "stopped"}')
    for path in (begun / "config.yaml", begun / "records.jsonl"):  # and labels are no markup
        path.write_text(path.read_text().replace("noise", "<script>noise"))
    run("report", begun)
    text = check_page(begun / "report.html").text
    assert "is not finished (stopped): figures are of 3 finished units" in text and "<script>noise" in text


@pytest.mark.parametrize("name", ["nothing", "empty"])
def test_what_is_no_run(tmp_path: Path, capfd: pytest.CaptureFixture[str], name: str, study: Path) -> None:
    if name == "empty":
        (tmp_path / name).mkdir()
        shutil.copy(study / "config.yaml", tmp_path / name)
    run("report", tmp_path / name, code=2)
    error = capfd.readouterr().err
    assert error.count("error: ") == 1 and ("is not a run directory" in error or "no finished unit" in error)


def test_without_the_extra(study: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "jinja2" else find(name, *a))
    run("report", study, code=2)
    assert "error: reports need jinja2" in capfd.readouterr().err


def test_the_same_seed_gives_the_decisions_on_record(study: Path, said: Callable[..., Any]) -> None:
    metrics = {(one["label"], one["attack"]): one for one in json.loads((study / "metrics.json").read_text())["rows"]}
    told = said("run", "score", study, "--quiet")
    assert len(told["rows"]) == len(metrics) and told["seed"] == 0
    for row in told["rows"]:
        expected = metrics[row["label"], row["attack"]]
        for key in ("clean", "robust", "clean_single", "robust_single"):
            assert row[key] == expected[key], (row["label"], row["attack"], key)
        assert row["changed"] == row["refused"] == 0 and row["made_against"] == row["label"]
    fresh = said("run", "score", study, "--quiet", "--seed", "1")["rows"]
    changed = {row["label"]: sum(one["changed"] for one in fresh if one["label"] == row["label"]) for row in fresh}
    assert changed["noise"] > 0 and changed["undefended"] == changed["blur only"] == 0


@pytest.fixture
def copy(study: Path, tmp_path: Path) -> Path:
    """The study, to be damaged."""
    shutil.copytree(study, tmp_path / "copy")
    return tmp_path / "copy"


UNIT, OTHER = "apgd-ce-eps-1--undefended--000000.safetensors", "apgd-ce-eps-1--undefended--000006.safetensors"


@pytest.mark.parametrize("way", ["missing", "truncated", "empty", "exchanged", "of another run", "a folder"])
def test_a_damaged_shard_is_left_out_of_scores_and_named(
    copy: Path, other: Path, way: str, said: Callable[..., Any], capfd: pytest.CaptureFixture[str]
) -> None:
    shard = copy / "images" / UNIT
    content = shard.read_bytes()
    shard.unlink()
    if way == "a folder":
        shard.mkdir()
    elif way != "missing":
        theirs = (other / "images" / "pgd--undefended--000000.safetensors").read_bytes()
        exchanged = (copy / "images" / OTHER).read_bytes()
        shard.write_bytes(
            {"truncated": content[:-9], "empty": b"", "exchanged": exchanged, "of another run": theirs}[way]
        )
    told = said("run", "score", copy, "--quiet", code=1)
    (problem,) = told["problems"]
    assert UNIT in problem
    images = {(row["label"], row["attack"]): row["images"] for row in told["rows"]}
    assert images.pop(("undefended", "apgd-ce, eps 1")) == 4 and set(images.values()) == {10}
    run("run", "score", copy, "--quiet", code=1)
    printed = capfd.readouterr()
    assert UNIT in printed.err and "1 of 18 shards are missing, damaged or exchanged" in printed.err
    assert "stored examples" in printed.out


def test_a_run_without_its_shards(copy: Path, said: Callable[..., Any]) -> None:
    shutil.rmtree(copy / "images")
    told = said("run", "score", copy, "--quiet", code=1)
    assert told["rows"] == [] and len(told["problems"]) == 18


def test_records_of_earlier_versions_have_no_digest(copy: Path, said: Callable[..., Any]) -> None:
    records = [json.loads(line) for line in (copy / "records.jsonl").read_text().splitlines()]
    assert all(len(record.pop("shard")) == 64 for record in records)
    (copy / "records.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    assert said("run", "score", copy, "--quiet")["problems"] == []
    (copy / "images" / UNIT).write_bytes((copy / "images" / OTHER).read_bytes())
    (problem,) = said("run", "score", copy, "--quiet", code=1)["problems"]
    assert "it is not of unit" in problem and "samples" in problem


def test_scores_on_another_defence(study: Path, said: Callable[..., Any], capfd: pytest.CaptureFixture[str]) -> None:
    own = {(row["label"], row["attack"]): row for row in said("run", "score", study, "--quiet")["rows"]}
    rows = said("run", "score", study, "--quiet", "--purifier", "blur")["rows"]
    assert {row["label"] for row in rows} == {"blur"} and len(rows) == 9
    for row in rows:
        assert row["changed"] is None
        if row["made_against"] == "blur only":  # the same defence under another name
            assert row["robust"] == own["blur only", row["attack"]]["robust"]
    run("run", "score", study, "--quiet", "--purifier", "blur")
    assert "made" in capfd.readouterr().out


def test_scoring_builds_no_attack(study: Path, said: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    build = mlvgm.configuration.build.build_part

    def watched(kind: str, *given: Any, **parts: Any) -> Any:
        made.append(kind)
        return build(kind, *given, **parts)

    for module in ("mlvgm.configuration.build", "mlvgm_robust.purify.study"):
        monkeypatch.setattr(f"{module}.build_part", watched)
    for options in ((), ("--purifier", "blur")):
        assert said("run", "score", study, "--quiet", *options)["rows"]
    assert "purifiers" in made and "attacks" not in made


def test_foreign_shards(study: Path, tmp_path: Path, said: Callable[..., Any]) -> None:
    source = load_file(study / "images" / "apgd-ce-eps-1--undefended--000000.safetensors")
    tensors = {name: source[name] for name in ("original", "adversarial", "labels")}
    save_file(tensors, tmp_path / "theirs.safetensors")
    (row,) = said("run", "score", tmp_path, "--purifier", "none", "--quiet")["rows"]
    assert (row["images"], row["norm"], row["refused"], row["attack"]) == (6, None, 0, "")
    (row,) = said("run", "score", tmp_path, "--purifier", "none", "--quiet", "--norm", "L2", "--eps", "1")["rows"]
    assert row["refused"] == 0 and row["robust"]["value"] < row["clean"]["value"]
    (row,) = said("run", "score", tmp_path, "--purifier", "none", "--quiet", "--norm", "L2", "--eps", "0.1", code=1)[
        "rows"
    ]
    # What is refused shows no robustness; the others are near enough to be right.
    right = row["images"] - row["refused"]
    assert row["refused"] > 0 and row["robust"]["value"] == right / row["images"]


@pytest.mark.parametrize(
    ("change", "options", "error"),
    [
        ({"labels": None}, (), "no tensor 'labels'"),
        ({"adversarial": torch.full((2, 1, 32, 32), torch.nan)}, (), "NaN"),
        ({"labels": torch.tensor([0, 99])}, (), "label 99, the classifier has 10 classes"),
        ({name: torch.zeros(2, 1, 8, 8) for name in ("original", "adversarial")}, (), "images (1, 8, 8)"),
        ({}, ("--norm", "L3"), "expected Linf, L2 or L1"),
        ({}, ("--eps", "1"), "no meaning without --norm"),
        ({}, ("--set", "attack.eps=1"), "has no effect on scores"),
        ({}, ("--set", "purifier.nosuch=1"), "purifier.nosuch"),
    ],
)
def test_bad_shards_and_options(
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    change: dict[str, torch.Tensor | None],
    options: tuple[str, ...],
    error: str,
) -> None:
    tensors = {"original": torch.zeros(2, 1, 32, 32), "adversarial": torch.zeros(2, 1, 32, 32)}
    tensors |= {"labels": torch.tensor([0, 1])} | change
    save_file({name: tensor for name, tensor in tensors.items() if tensor is not None}, tmp_path / "a.safetensors")
    run("run", "score", tmp_path, "--purifier", "none", "--quiet", *options, code=2)
    said = capfd.readouterr().err
    assert said.count("error: ") == 1 and error in said and "Traceback" not in said


def test_a_folder_without_shards(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run("run", "score", tmp_path, code=2)
    assert "no shards in" in capfd.readouterr().err
