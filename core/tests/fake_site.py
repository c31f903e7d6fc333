"""Distributions that exist only in a temporary folder, for tests of plugins."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from mlvgm.plugins.index import Index

# A descriptor, and what its strings name, in one module.
WORKING = """
from mlvgm.plugins.descriptors import Component

component = Component(summary="works", factory="{module}_built:build", config="{module}_built:Config", argument="file")
"""
WORKING_PARTS = """
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from mlvgm.protocols.attack import AttackInfo


class Config(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    eps: float = Field(1.0, ge=0, description="radius, L2")
    norm: Literal["L2", "Linf"] = Field("L2", description="norm")
    file: str | None = Field(None, description="file")


@dataclass(frozen=True)
class Attack:
    config: Config
    parts: dict[str, Any]
    info = AttackInfo("working", "L2", 1.0)

    def __call__(self, target, images, labels, *, targets=None, context):
        return images


def build(config, **parts):
    return Attack(config, parts)
"""


class Site:
    """A folder on ``sys.path`` with fake distributions."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.distributions: list[str] = []

    def install(
        self,
        distribution: str,
        *,
        entry_points: Mapping[str, Mapping[str, str]],
        modules: Mapping[str, str] | None = None,
        version: str = "1.0",
        requires: Iterable[str] = (),
    ) -> None:
        """Write what pip would: modules and a ``dist-info`` folder."""
        for name, source in (modules or {}).items():
            (self.folder / f"{name}.py").write_text(source)
        info = self.folder / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        lines = ["Metadata-Version: 2.1", f"Name: {distribution}", f"Version: {version}"]
        (info / "METADATA").write_text("\n".join([*lines, *(f"Requires-Dist: {text}" for text in requires)]) + "\n")
        groups = [
            "\n".join([f"[{group}]", *(f"{name} = {target}" for name, target in entries.items())])
            for group, entries in entry_points.items()
        ]
        (info / "entry_points.txt").write_text("\n\n".join(groups) + "\n")
        self.distributions.append(distribution)
        importlib.invalidate_caches()

    def install_working(self, distribution: str, module: str, *, name: str, requires: Iterable[str] = ()) -> None:
        """A distribution with one attack that loads and builds."""
        self.install(
            distribution,
            entry_points={"mlvgm.attacks": {name: f"{module}:component"}},
            modules={module: WORKING.format(module=module), f"{module}_built": WORKING_PARTS},
            requires=requires,
        )

    def index(self) -> Index:
        """These distributions and no others."""
        return Index.installed(environ={"MLVGM_PLUGINS": ",".join(self.distributions)})
