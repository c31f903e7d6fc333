"""Descriptors: they match the entry points, import nothing heavy, and name things that exist."""

from __future__ import annotations

import importlib
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from mlvgm.plugins.descriptors import Component

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
ENTRIES = [
    (name, value)
    for kind in ("mlvgm.alphas", "mlvgm.purifiers", "mlvgm.encoders", "mlvgm.attacks", "mlvgm.trainers", "mlvgm.checks")
    for name, value in PROJECT["entry-points"][kind].items()
]


def load(reference: str) -> object:
    module, _, attribute = reference.partition(":")
    return getattr(importlib.import_module(module), attribute)


@pytest.mark.parametrize(("name", "value"), ENTRIES)
def test_entry_points_name_components_whose_parts_exist(name: str, value: str) -> None:
    component = load(value)
    assert isinstance(component, Component)
    assert callable(load(component.factory))
    fields = load(component.config).model_fields
    assert all(field.description for field in fields.values())
    assert component.argument is None or component.argument in fields


def test_descriptors_import_neither_torch_nor_pydantic() -> None:
    code = "import sys, mlvgm_robust; sys.exit(any(m in sys.modules for m in ('torch', 'pydantic', 'numpy')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
