"""Constructor arguments that lie beside a checkpoint, for what its tensors do not tell."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mlvgm import plain_yaml
from mlvgm.errors import InputError


def read_options(path: Path | None) -> dict[str, Any]:
    """The mapping in a JSON or YAML file; empty without one.

    Raises:
        InputError: the file is missing or holds no mapping.
    """
    if path is None:
        return {}
    try:
        text = plain_yaml.text_of(path, what="constructor arguments")
        content = json.loads(text) if path.suffix == ".json" else plain_yaml.parse(text)
    except (ValueError, RecursionError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path}: expected JSON or YAML with constructor arguments, got: {reason}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected a mapping of constructor arguments, got {type(content).__name__}")
    return content
