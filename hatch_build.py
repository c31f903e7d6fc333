"""The dependencies of the distribution without code: its members, from this checkout or, for a release, by version."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface


class Members(MetadataHookInterface):
    """Depend on ``core`` and every folder of ``plugins`` as ``file://`` here, as ``==`` under ``MLVGM_RELEASE=1``."""

    def update(self, metadata: dict[str, Any]) -> None:
        root = Path(self.root)
        folders = {"mlvgm-core[report]": root / "core"} | {
            folder.name: folder for folder in sorted(root.glob("plugins/mlvgm-*"))
        }
        release = os.environ.get("MLVGM_RELEASE") == "1"
        # A wheel on a package index may not name files, and one built here must not fetch what is beside it.
        metadata["dependencies"] = [
            f"{name}=={metadata['version']}" if release else f"{name} @ {folder.as_uri()}"
            for name, folder in folders.items()
        ]
