"""Dependencies point one way: plugins → core, never core → plugin, never plugin → plugin."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator, Mapping
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


# Names of components that are words of the language as well, or of core's own.
_WORDS = {
    "alphas", "artefacts", "audit", "baselines", "bayes", "blur", "budget", "checks", "compliance", "energy", "import",
    "inversion", "mix", "mlvgm", "noise", "none", "purify", "random", "resubmission", "score", "shapes", "square",
    "statistics", "transfer",
}  # fmt: skip


def test_core_names_no_component() -> None:
    """Outside of docstrings, whose examples need some."""
    names = set[str]()
    for plugin in PLUGINS:
        groups = tomllib.loads((plugin / "pyproject.toml").read_text())["project"]["entry-points"]
        names |= {name for group, entries in groups.items() if group != "mlvgm.hooks" for name in entries}
    assert len(names) > 50 and names >= _WORDS
    found = []
    for file in (ROOT / "core" / "src").rglob("*.py"):
        tree = ast.parse(file.read_text())
        documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
        docstrings = {ast.get_docstring(node, clean=False) for node in ast.walk(tree) if isinstance(node, documented)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value not in docstrings:
                words = set(re.findall(r"[a-z0-9][a-z0-9.-]*[a-z0-9]", node.value))
                found += [f"{file}:{node.lineno}: {word}" for word in words & (names - _WORDS)]
    assert found == []


def _modules() -> dict[str, Path]:
    sources = [ROOT / "core" / "src", *(plugin / "src" for plugin in PLUGINS)]
    return {
        ".".join(file.relative_to(source).with_suffix("").parts).removesuffix(".__init__"): file
        for source in sources
        for file in source.rglob("*.py")
    }


def _imports(file: Path, modules: Mapping[str, Path]) -> set[str]:
    """Modules of ours that a file imports when it is imported, and for types only; not those within functions."""
    found = set[str]()
    pending: list[ast.AST] = [ast.parse(file.read_text())]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            names = (f"{node.module}.{alias.name}" for alias in node.names)
            found |= {name if name in modules else node.module for name in names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif not isinstance(node, ast.FunctionDef | ast.Lambda):
            pending += ast.iter_child_nodes(node)
    return found & modules.keys()


def test_imports_go_in_no_circle() -> None:
    """Those for types included. What a package's own ``__init__`` shows lazily is no arrow."""
    modules = _modules()
    left = {name: _imports(file, modules) - {name} for name, file in modules.items() if file.name != "__init__.py"}
    while free := [name for name, needs in left.items() if not needs & left.keys()]:
        for name in free:
            del left[name]
    assert left == {}
