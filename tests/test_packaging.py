"""The distributions: what the root depends on, and that core and one plugin work without the others."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MEMBERS = {"mlvgm-core": ROOT / "core"} | {path.name: path for path in sorted(ROOT.glob("plugins/mlvgm-*"))}
WITH_EXTRAS = {"mlvgm-core": "mlvgm-core[report]"}  # the working set draws figures


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
    expected = [f"{WITH_EXTRAS.get(name, name)} @ {folder.as_uri()}" for name, folder in MEMBERS.items()]
    assert sorted(root_dependencies(MLVGM_RELEASE="")) == sorted(expected)


def test_release_pins_versions_that_the_members_have() -> None:
    versions = {
        name: tomllib.loads((folder / "pyproject.toml").read_text())["project"]["version"]
        for name, folder in MEMBERS.items()
    }
    expected = [f"{WITH_EXTRAS.get(name, name)}=={versions[name]}" for name in MEMBERS]
    assert sorted(root_dependencies(MLVGM_RELEASE="1")) == sorted(expected)


@pytest.mark.slow
def test_core_and_one_plugin_alone(tmp_path: Path) -> None:
    """Wheels of core and the NVAE plugin in a fresh environment, with everything else taken from this one."""
    wheels = tmp_path / "wheels"
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    members = [str(MEMBERS[name]) for name in ("mlvgm-core", "mlvgm-nvae")]
    build = [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(wheels), *members]
    subprocess.run(build, check=True)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "environment")], check=True)
    (site,) = (tmp_path / "environment").glob("lib/python*/site-packages")
    subprocess.run([*pip, "install", "--no-deps", "--target", str(site), *map(str, wheels.iterdir())], check=True)
    # The dependencies (torch among them) are linked rather than installed again; the members are not.
    for path in Path(os.path.dirname(pytest.__path__[0])).iterdir():
        if "mlvgm" not in path.name and not (site / path.name).exists():
            (site / path.name).symlink_to(path)
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
