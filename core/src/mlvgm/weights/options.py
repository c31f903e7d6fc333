"""Which weights a generator has, and constructor arguments that lie beside a checkpoint; imports no torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from mlvgm import plain_yaml
from mlvgm.errors import InputError


class GeneratorConfig(BaseModel):
    """Options of every generator with weights; a family adds its sampling options, and a default if weights ship."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weights: str = Field(description="a checkpoint, or a file that training or `mlvgm weights convert` wrote")
    config: Path | None = Field(
        None, description="JSON or YAML with a checkpoint's constructor arguments, for what its tensors do not tell"
    )


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
