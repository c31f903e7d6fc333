"""The dependencies of the distribution without code: its members, from this checkout or, for a release, by version.

What draws a report's figures comes with them.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface


class Members(MetadataHookInterface):
    """Depend on ``core`` and every folder of ``plugins`` as ``file://`` here, as ``==`` under ``MLVGM_RELEASE=1``."""

    def update(self, metadata: dict[str, Any]) -> None:
        core, *plugins = (Path(self.root) / "core", *sorted(Path(self.root).glob("plugins/mlvgm-*")))
        folders = {"mlvgm-core": core} | {folder.name: folder for folder in plugins}
        release = os.environ.get("MLVGM_RELEASE") == "1"
        # Not `mlvgm-core[report] @ …`: pip before 23.3.2 does not see in it the mlvgm-core that the plugins need.
        report = tomllib.loads((core / "pyproject.toml").read_text())["project"]["optional-dependencies"]["report"]
        # A wheel on a package index may not name files, and one built here must not fetch what is beside it.
        metadata["dependencies"] = [
            *(
                f"{name}=={metadata['version']}" if release else f"{name} @ {folder.as_uri()}"
                for name, folder in folders.items()
            ),
            *report,
        ]
