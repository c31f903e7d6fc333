"""Dependencies point one way: plugins → core, never core → plugin, never plugin → plugin."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
PLUGINS = sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))


def package(plugin: Path) -> str:
    return plugin.name.replace("-", "_")


def imported(folder: Path) -> Iterator[tuple[Path, str]]:
    """Every module that the files of ``folder`` name in an import, also inside functions."""
    for file in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                yield from ((file, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module is not None:
                yield file, node.module
            # importlib.import_module("…") and "module:attribute" strings.
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("mlvgm_"):
                yield file, node.value.partition(":")[0]


def offences(folder: Path, forbidden: set[str]) -> list[str]:
    return [f"{file}: {name}" for file, name in imported(folder) if name.partition(".")[0] in forbidden]


def test_there_is_something_to_check() -> None:
    assert {plugin.name for plugin in PLUGINS} >= {"mlvgm-nvae", "mlvgm-robust", "mlvgm-vision"}


def test_core_imports_no_plugin() -> None:
    assert offences(ROOT / "core" / "src", {package(plugin) for plugin in PLUGINS}) == []


@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda plugin: plugin.name)
def test_plugin_imports_no_other_plugin(plugin: Path) -> None:
    others = {package(other) for other in PLUGINS} - {package(plugin)}
    assert offences(plugin / "src", others) == []


@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda plugin: plugin.name)
def test_plugin_requires_core_and_no_other_plugin(plugin: Path) -> None:
    project = tomllib.loads((plugin / "pyproject.toml").read_text())["project"]
    names = {Requirement(text).name for text in project["dependencies"]}
    assert {name for name in names if name.startswith("mlvgm")} == {"mlvgm-core"}


def test_the_walk_sees_every_way_to_import(tmp_path: Path) -> None:
    for number, text in enumerate(
        (
            "import mlvgm_other.part",
            "def f():\n    from mlvgm_other import x",
            "import importlib\nimportlib.import_module('mlvgm_other.part')",
            "factory = 'mlvgm_other.part:build'",
        )
    ):
        (tmp_path / f"{number}.py").write_text(text)
    assert len(offences(tmp_path, {"mlvgm_other"})) == 4
