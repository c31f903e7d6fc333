"""Reports of small, large and damaged runs: what is readable is shown, what is not is named, all is explained."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from toy_study import Levels, do, finished_units, toy_config, toy_run, toy_study

from mlvgm.runs.report import Part, html_page, make_parts, markdown_tables
from mlvgm.runs.rundir import RunDirectory
from mlvgm.runs.stored import Stored
from mlvgm_robust.purify.config import PurifyConfig
from mlvgm_robust.purify.job import PurifyJob
from mlvgm_robust.purify.report_images import HOW_TO_READ, image_figure

for needed in ("matplotlib", "jinja2"):
    pytest.importorskip(needed)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    config = toy_config()
    run = toy_run(tmp_path_factory.mktemp("toy") / "whole", config)
    for name, content in PurifyJob().documents(config, toy_study(config)).items():
        run.write_json(name, content)
    assert run.read_json("data.json")["classes"] == list(Levels().info.label_names)
    do(run, config)
    return run


@pytest.fixture
def copy(whole: RunDirectory, tmp_path: Path) -> RunDirectory:
    shutil.copytree(whole.path, tmp_path / "copy")
    return RunDirectory(tmp_path / "copy")


def reported(run: RunDirectory, config: PurifyConfig | None = None) -> tuple[Part, str, str]:
    """The one part of a report, its page and its tables in Markdown."""
    parts = make_parts([Stored(run, PurifyJob(), config or toy_config(), run.finished())])
    assert len(parts) == 1
    return parts[0], html_page(parts), markdown_tables(parts)


def test_everything_is_explained(whole: RunDirectory) -> None:
    part, page, tables = reported(whole)
    for table in part.section.tables:
        assert len({column.title for column in table.columns}) == len(table.columns)
        for column in table.columns:
            assert len(column.meaning) > 8 and column.meaning in tables
        assert all(len(row) == len(table.columns) for row in table.body)
    assert "grey is no change" in page and "A wholly grey tile: the attack found nothing better" in page
    # The small print stands before the first table.
    assert page.index("intervals are wide") < page.index("<table")


def test_every_image_says_what_it_shows_and_how_to_read_it(whole: RunDirectory) -> None:
    part, page, _ = reported(whole)
    assert {image.name for image in part.images} == {"accuracy", "curves-linf", "images-noisy", "images-undefended"}
    for image in part.images:
        assert image.alt != image.caption and len(image.alt) > 20 and len(image.caption) > 20
        assert page.count(f'alt="{image.alt.split(":")[0]}') == 1
    (panel,) = (image for image in part.images if image.name == "images-undefended")
    # Classes by name; levels 0.05, 0.13, 0.21 stay dark under a shift of 0.2, 0.295 does too and 0.3 would not.
    assert "dark right, dark right, dark right, dark right" in panel.alt and HOW_TO_READ in panel.caption


def test_classes_without_names_have_numbers(copy: RunDirectory) -> None:
    (copy.path / "data.json").unlink()
    part, _, _ = reported(copy)
    assert any("class 0 right" in image.alt for image in part.images)


def test_nothing_is_wider_than_a_narrow_page(whole: RunDirectory) -> None:
    """At 420 pixels rows become blocks whose cells have their columns' titles; nothing has a width of its own."""
    part, page, _ = reported(whole)
    cells = sum(len(row) - 1 for table in part.section.tables for row in table.body)
    assert len(re.findall(r"<td data-title=\"[^\"]+\">", page)) == cells
    assert 'content="width=device-width' in page and "img { max-width: 100%" in page
    assert "max-width: 64rem" in page and "overflow-wrap: anywhere" in page and "white-space: pre-wrap" in page
    assert not re.findall(r"[^-]width: \d{3,}px", page)


@pytest.mark.parametrize("damage", ["truncated", "empty", "gone", "of another unit", "changed", "without tensors"])
def test_a_damaged_shard_is_named_and_another_shown(copy: RunDirectory, damage: str) -> None:
    shard, other = copy.shard("shift--noisy--000000"), copy.shard("shift--noisy--000004")
    content = shard.read_bytes()
    shard.unlink()
    if damage == "without tensors":
        copy.write_images("shift--noisy--000000", {"something": torch.zeros(1)})
    elif damage != "gone":
        put = {"truncated": content[:-5], "empty": b"", "of another unit": other.read_bytes()}
        shard.write_bytes(put.get(damage, content[:-1] + bytes([content[-1] ^ 1])))
    part, page, tables = reported(copy)
    assert {image.name for image in part.images} == {"accuracy", "curves-linf", "images-noisy", "images-undefended"}
    (problem,) = part.section.problems
    assert "shift--noisy--000000" in problem
    assert "Images left out" in page and "shift--noisy--000000" in page and "shift--noisy--000000" in tables


def test_a_run_without_images(copy: RunDirectory) -> None:
    shutil.rmtree(copy.images)
    part, page, _ = reported(copy)
    assert [image.name for image in part.images] == ["accuracy", "curves-linf"] and part.section.tables
    assert len(part.section.problems) == 6 and part.section.problems[-1] == "and 7 more" and "and 7 more" in page


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"limit": 1}, {"accuracy", "curves-linf", "images-noisy", "images-undefended"}),
        ({"rows": [{"label": "noisy", "purifier": {"name": "none"}}]}, {"accuracy", "curves-linf", "images-noisy"}),
    ],
)
def test_one_image_and_one_row(tmp_path: Path, changes: dict[str, Any], names: set[str]) -> None:
    config = toy_config(**changes)
    run = toy_run(tmp_path / "run", config)
    do(run, config)
    part, page, _ = reported(run, config)
    assert {image.name for image in part.images} == names and "nan" not in page.lower().split("</style>")[1][:2000]


def test_many_rows(whole: RunDirectory, tmp_path: Path) -> None:
    """Many defences: the chart has one line each, panels for a few, and every row stands in the tables."""
    labels = [f"a defence with a rather long name, number {number:02}" for number in range(26)]
    rows = [{"label": label, "purifier": {"name": "none"}} for label in labels]
    config = toy_config(rows=rows)
    run = RunDirectory.create(tmp_path / "run", name="n", config="run: purify\n", environment={})
    for label in labels:
        for record in finished_units(whole).values():
            if record["defence"] == "undefended":
                run.append({**record, "unit": f"{label}-{record['unit']}", "defence": label})
    part, page, _ = reported(run, config)
    chart, _ = part.images
    assert "and 14 more" in chart.alt and "under shift" in chart.alt and "under stay" not in chart.alt
    assert "under the attack that leaves the least" in chart.caption
    assert all(label in page for label in labels)
    for image in part.images:
        width, height = (int.from_bytes(image.png[at : at + 4], "big") for at in (16, 20))
        assert width < 1000 and height < 4000


def test_grey_is_no_change() -> None:
    images = torch.full((2, 1, 4, 4), 0.25)
    moved = images.clone()
    moved[1, 0, 0, 0] += 0.1
    moved[1, 0, 0, 1] -= 0.1
    figure = image_figure({"original": images, "adversarial": moved}, [True, False], ["a", "b"])
    axes = figure.axes[0]
    mosaic = axes.images[0].get_array()
    assert mosaic is not None and mosaic.shape[2] == 3
    third = torch.as_tensor(mosaic)[2 * mosaic.shape[0] // 3 :]  # the row of differences
    inner = third[2:6, 2:6], third[2:6, 10:14]
    assert bool((inner[0] == 0.5).all()), "nothing changed: wholly grey"
    assert float(inner[1].max()) == 1.0 and float(inner[1].min()) == 0.0 and float(inner[1][2, 2, 0]) == 0.5
    assert [label.get_text() for label in axes.get_xticklabels()] == ["right", "wrong"]


def test_the_state_of_a_run_is_told(whole: RunDirectory, tmp_path: Path) -> None:
    shutil.copytree(whole.path, tmp_path / "dead")
    RunDirectory(tmp_path / "dead").set_status("running")  # and nobody is at work
    runs = [Stored(run, PurifyJob(), toy_config(), run.finished()) for run in (RunDirectory(tmp_path / "dead"), whole)]
    page = html_page(make_parts(runs))
    assert "is not finished (dead): figures are of 12 finished units" in page
