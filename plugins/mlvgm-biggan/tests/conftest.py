"""Shared: reference data, and the modules beside the tests."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

# Test modules are imported without their folder on the path.
sys.path.insert(0, str(Path(__file__).parent))

GOLDEN = Path(__file__).parents[3] / "tests" / "golden"


@pytest.fixture(scope="session")
def golden() -> Callable[[str], Path]:
    return lambda name: GOLDEN / name
