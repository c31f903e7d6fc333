"""Constructor arguments that lie beside a checkpoint, for what its tensors do not tell."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from mlvgm.errors import InputError


def read_options(path: Path | None) -> dict[str, Any]:
    """The mapping in a JSON or YAML file; empty without one.

    Raises:
        InputError: the file is missing or holds no mapping.
    """
    if path is None:
        return {}
    try:
        text = path.read_text(encoding="utf-8")
        # YAML takes 1e-05, as JSON writes it, for a string.
        content = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (OSError, UnicodeDecodeError, ValueError, RecursionError, yaml.YAMLError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path}: expected JSON or YAML with constructor arguments, got: {reason}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected a mapping of constructor arguments, got {type(content).__name__}")
    return content
