"""Shared by the tests of this plugin."""

from __future__ import annotations

import sys
from pathlib import Path

# Test modules are imported without their folder on the path.
sys.path.insert(0, str(Path(__file__).parent))
