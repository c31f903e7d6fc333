"""The distributions: what the root depends on, and that core and one plugin work without the others."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
MEMBERS = {"mlvgm-core": ROOT / "core"} | {path.name: path for path in sorted(ROOT.glob("plugins/mlvgm-*"))}
OLD_AND_NEW_PIP = ("23.0", "23.2.1", "24.0", "25.0", "26.0")


def project(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    return found


REPORT = project(ROOT / "core")["optional-dependencies"]["report"]  # the working set draws figures


def root_dependencies(**environment: str) -> list[str]:
    """What the root's build writes into its metadata."""
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "metadata", "dependencies"],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    dependencies: list[str] = json.loads(done.stdout)
    return dependencies


def test_root_depends_on_the_members_of_this_checkout() -> None:
    expected = [f"{name} @ {folder.as_uri()}" for name, folder in MEMBERS.items()]
    assert sorted(root_dependencies(MLVGM_RELEASE="")) == sorted([*expected, *REPORT])


def test_release_pins_versions_that_the_members_have() -> None:
    expected = [f"{name}=={project(folder)['version']}" for name, folder in MEMBERS.items()]
    assert sorted(root_dependencies(MLVGM_RELEASE="1")) == sorted([*expected, *REPORT])


def linked_environment(folder: Path) -> Path:
    """A fresh environment without pip that has everything of this one but the members; its site-packages.

    What this one has (torch among it) is linked rather than installed again.
    """
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    (site,) = folder.glob("lib/python*/site-packages")
    for path in Path(os.path.dirname(pytest.__path__[0])).iterdir():
        if "mlvgm" not in path.name and not (site / path.name).exists():
            (site / path.name).symlink_to(path)
    return site


@pytest.mark.slow
@pytest.mark.parametrize("version", OLD_AND_NEW_PIP)
def test_every_pip_resolves_the_working_set(version: str, tmp_path: Path) -> None:
    """``pip install .``, up to the point where files would be copied; only pip itself is fetched."""
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "install", "--no-deps"]
    if subprocess.run([*pip, "--target", str(tmp_path / "pip"), f"pip=={version}"], check=False).returncode:
        pytest.skip(f"pip {version} is not to be had here")
    linked_environment(tmp_path / "environment")
    call = [str(tmp_path / "environment/bin/python"), "-m", "pip", "install", "--dry-run", "--no-index"]
    done = subprocess.run(
        [*call, "--no-build-isolation", str(ROOT)],
        env={**os.environ, "PYTHONPATH": str(tmp_path / "pip")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("Would install "))
    assert {name.rpartition("-")[0] for name in line.split()[2:]} == {"mlvgm", *MEMBERS}


@pytest.mark.slow
def test_core_and_one_plugin_alone(tmp_path: Path) -> None:
    """Wheels of core and the NVAE plugin in a fresh environment, with everything else taken from this one."""
    wheels = tmp_path / "wheels"
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    members = [str(MEMBERS[name]) for name in ("mlvgm-core", "mlvgm-nvae")]
    build = [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(wheels), *members]
    subprocess.run(build, check=True)
    site = linked_environment(tmp_path / "environment")
    subprocess.run([*pip, "install", "--no-deps", "--target", str(site), *map(str, wheels.iterdir())], check=True)
    python = str(tmp_path / "environment" / "bin" / "python")

    def mlvgm(*arguments: str) -> str:
        call = [python, "-c", "from mlvgm.cli.main import main; main()", *arguments]
        done = subprocess.run(call, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    plugins = json.loads(mlvgm("plugins", "list", "--check", "--json"))
    assert {plugin["distribution"] for plugin in plugins["plugins"]} == {"mlvgm-nvae"}
    assert plugins["problems"] == []
    info = json.loads(mlvgm("plugins", "info", "generators/nvae", "--json"))
    assert Path(info["source"]).is_relative_to(site)
    for weights in info["weights"]:
        package, _, file = weights["file"].partition(":")
        assert (site / package / file).is_file()
