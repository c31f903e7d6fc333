from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from fake_site import Site
from linear_family import install, state


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    before = set(sys.modules)
    yield Site(folder)
    for name in set(sys.modules) - before:
        origin = getattr(sys.modules[name], "__file__", None)
        if origin is not None and Path(origin).is_relative_to(folder):
            del sys.modules[name]


@pytest.fixture
def linear(site: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
    """The toy family, alone."""
    install(site, "linear")
    monkeypatch.setenv("MLVGM_PLUGINS", "mlvgm-linear")
    return site


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    path = tmp_path / "published.pt"
    torch.save({"g_ema": {f"module.{name}": tensor for name, tensor in state().items()}, "args": None}, path)
    return path
