"""What a run was made from: hashes of its configuration and of the files it names, so that resuming notices changes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from importlib.resources import as_file, files
from pathlib import Path

from mlvgm.errors import InputError
from mlvgm.plugins.load import component
from mlvgm.runs.config import COMPONENTS, PurifyConfig
from mlvgm.runs.settings import flatten

CONFIGURATION = "configuration"


def fingerprint(config: PurifyConfig) -> dict[str, str]:
    """SHA-256 of the configuration, and of every file it names: weights, shipped or given by path."""
    found = {CONFIGURATION: hashlib.sha256(config.model_dump_json().encode()).hexdigest()}
    return found | {name: _sha256(path) for name, path in _named_files(config)}


def check_unchanged(before: Mapping[str, str], config: PurifyConfig) -> None:
    """Refuse to go on with another configuration or other files than a run began with.

    Args:
        before: what :func:`fingerprint` gave then; empty for runs of earlier versions, which are not checked.
        config: the configuration now.

    Raises:
        InputError: something has changed or is gone.
    """
    if not before:
        return
    now = fingerprint(config)
    for name in before:
        if now.get(name) != before[name]:
            what = "its configuration" if name == CONFIGURATION else f"'{name}'"
            raise InputError(
                f"{what} has changed since the run began, and finished units would not go with new ones",
                hint="start a new run: `mlvgm run purify --config …/config.yaml`",
            )


def _named_files(config: PurifyConfig) -> Iterator[tuple[str, Path]]:
    for kind, named in config.components():
        shipped = {weights.name: weights.file for weights in component(COMPONENTS[kind], named.name).component.weights}
        for key, value in flatten(named.options).items():
            if key == "weights" and value in shipped:
                package, _, resource = shipped[value].partition(":")
                with as_file(files(package) / resource) as path:
                    yield shipped[value], path
            elif isinstance(value, str) and Path(value).is_file():
                yield value, Path(value)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
