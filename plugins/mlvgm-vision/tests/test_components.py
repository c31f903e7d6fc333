from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import mlvgm_vision
from mlvgm.plugins.descriptors import Component, Weights

COMPONENTS = {name: value for name, value in vars(mlvgm_vision).items() if isinstance(value, Component)}


def test_describing_the_plugin_imports_nothing_heavy() -> None:
    program = "import sys, mlvgm_vision; print(*{'torch', 'pydantic', 'numpy', 'timm', 'PIL'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "\n"


def test_importing_submodules_does_not_hide_components() -> None:
    for component in COMPONENTS.values():
        importlib.import_module(component.factory.split(":")[0])
    assert {name: getattr(mlvgm_vision, name) for name in COMPONENTS} == COMPONENTS


@pytest.mark.parametrize("component", COMPONENTS.values(), ids=COMPONENTS)
def test_factories_and_configurations_are_there_and_described(component: Component) -> None:
    for target in (component.factory, component.config):
        module, attribute = target.split(":")
        assert callable(getattr(importlib.import_module(module), attribute))
    config = getattr(importlib.import_module(component.config.split(":")[0]), component.config.split(":")[1])
    assert config.model_config["frozen"] and config.model_config["extra"] == "forbid"
    assert all(field.description for field in config.model_fields.values())
    assert component.argument is None or component.argument in config.model_fields


@pytest.mark.parametrize("weights", mlvgm_vision.fashion_cnn.weights, ids=lambda weights: weights.name)
def test_a_card_lies_beside_the_shipped_weights(weights: Weights) -> None:
    file = Path(mlvgm_vision.__file__).parent / weights.file.partition(":")[2]
    assert weights.sha256 in file.with_suffix(".md").read_text()
    assert file.stat().st_size < 1_000_000
