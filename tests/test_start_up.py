"""Commands that only look, look without torch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

# Names, not times: a machine's load cannot make these fail or pass.
HEAVY = ("torch", "torchvision", "timm", "numpy", "scipy", "matplotlib")
PROGRAM = """
import sys
from mlvgm.cli.main import main

try:
    main({arguments})
finally:
    print("\\nMODULES", *sorted(sys.modules), file=sys.stderr)
"""


def modules_after(
    *arguments: str, environment: dict[str, str] | None = None, exit_code: int = 0, folder: Path | None = None
) -> set[str]:
    """Names of the modules that a command has imported when it ends."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(arguments=list(arguments))],
        capture_output=True,
        text=True,
        env=environment,
        cwd=folder,
        check=False,
    )
    assert done.returncode == exit_code, done.stderr
    return set(done.stderr.rpartition("MODULES")[2].split())


@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",),
        ("--version",),
        ("run", "purify", "--help"),
        ("run", "mix", "--help"),
        ("run", "alphas", "--help"),
        ("run", "score", "--help"),
        ("report", "--help"),
        ("audit", "--help"),
        ("weights", "--help"),
        ("weights", "convert", "--help"),
        ("plugins", "--help"),
        ("plugins", "list"),
        ("plugins", "list", "--json"),
    ],
    ids=" ".join,
)
def test_looking_imports_neither_torch_nor_pydantic(arguments: tuple[str, ...]) -> None:
    modules = modules_after(*arguments)
    assert "mlvgm.cli.main" in modules
    assert not modules & {*HEAVY, "pydantic", "stevedore", "pluggy"}


def test_descriptors_import_no_torch() -> None:
    program = """
import sys
from mlvgm.plugins.index import HOOKS, Index
from mlvgm.plugins.describe import described

entries = [entry for entry in Index.installed().entries() if entry.kind != HOOKS]
for entry in entries:
    described(entry)
print(len(entries), *sorted(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    count, *modules = done.stdout.split()
    assert int(count) > 10
    assert not {*modules} & {*HEAVY, "pydantic"}


def test_options_of_components_import_no_torch() -> None:
    program = """
import sys
from mlvgm.plugins.index import Index
from mlvgm.plugins.load import component, config_class

kinds = ("generators", "encoders", "purifiers", "attacks", "datasets", "classifiers", "alphas", "trainers", "checks")
entries = [entry for kind in kinds for entry in Index.installed().entries(kind)]
for entry in entries:
    config_class(component(entry.kind, entry.name))
print(len(entries), *sorted(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    count, *modules = done.stdout.split()
    assert int(count) > 60
    assert not {*modules} & {*HEAVY}


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_the_list_of_weights_imports_no_torch(options: tuple[str, ...]) -> None:
    modules = modules_after("weights", "list", *options)
    assert "mlvgm.weights.shipped" in modules
    assert not modules & {*HEAVY, "pydantic"}


def test_a_dry_run_imports_no_torch() -> None:
    modules = modules_after("run", "purify", "--dry-run", "--json")
    assert "mlvgm_robust.purify.plan" in modules
    assert not modules & {*HEAVY}


@pytest.mark.parametrize(
    "arguments",
    [
        ("--generator", "nvea"),
        ("--attack", "autoatack"),
        ("--set", "attack.eps=-1"),
        ("--set", "purifier.alphas=keep:x"),
        ("--set", "data.nosuch=1"),
        ("--set", "vote=3"),
        ("--threads", "100000"),
        ("--budget", "huge"),
        ("-n", "four"),
        ("--config", "missing.yaml"),
        ("--out", "/proc/nothing"),
        ("--nosuch",),
    ],
    ids=" ".join,
)
def test_wrong_options_are_refused_before_torch_is_imported(arguments: tuple[str, ...]) -> None:
    modules = modules_after("run", "purify", *arguments, exit_code=2)
    assert "mlvgm.cli.run" in modules
    assert not modules & {*HEAVY}


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "alphas", "--method", "random", "--set", "method.nosuch=1"),
        ("run", "alphas", "--method", "random", "--set", "data.source=sample"),
        ("run", "mix", "--set", "generator.temperature=hot"),
        ("run", "score", "nowhere"),
        ("audit", "--purifier", "mlvgm", "--set", "purifier.nosuch=1"),
        ("train", "generator", "nvae", "--set", "train.nosuch=1"),
        ("train", "generator", "nvae", "--set", "data.source=sample"),
        ("train", "generator", "nvae", "--resume"),
        ("purify", ".", "--out", "nowhere", "--set", "purifier.noise=true"),
    ],
    ids=" ".join,
)
def test_other_commands_refuse_wrong_options_as_early(arguments: tuple[str, ...], tmp_path: Path) -> None:
    modules = modules_after(*arguments, exit_code=2, folder=tmp_path)
    brought = {"audit": "mlvgm_robust.audit.command", "purify": "mlvgm_robust.folder.command"}
    assert brought.get(arguments[0], f"mlvgm.cli.{arguments[0]}") in modules
    assert not modules & {*HEAVY}


def test_info_itself_imports_no_torch(tmp_path: Path) -> None:
    (tmp_path / "light.py").write_text(
        "from pydantic import BaseModel\nfrom mlvgm.plugins.descriptors import Component\n"
        "class Config(BaseModel):\n    size: int = 1\n"
        "component = Component(summary='light', factory='never_imported:build', config='light:Config')\n"
    )
    (tmp_path / "never_imported.py").write_text("import torch")
    info = tmp_path / "light-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: light\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[mlvgm.generators]\nlight = light:component\n")
    modules = modules_after(
        "plugins", "info", "generators/light", environment={**os.environ, "PYTHONPATH": str(tmp_path)}
    )
    assert {"pydantic", "light"} <= modules
    assert not modules & {*HEAVY, "never_imported"}


@pytest.mark.parametrize(
    ("words", "expected"),
    [("mlvgm plugins list --kind gener", "generators"), ("mlvgm plugins info attacks/auto", "attacks/autoattack")],
)
def test_completion_imports_no_torch(words: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_MLVGM_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(len(words.split()) - 1))
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(arguments=[])], capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == [expected]
    modules = set(done.stderr.rpartition("MODULES")[2].split())
    assert "mlvgm.cli.main" in modules
    assert not modules & {*HEAVY, "pydantic"}
