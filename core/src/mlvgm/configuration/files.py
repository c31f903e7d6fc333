"""The files that a configuration names, so that resuming notices changes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import BaseModel

from mlvgm.configuration.part import parts_of
from mlvgm.configuration.settings import flatten
from mlvgm.errors import InputError
from mlvgm.plugins.load import component
from mlvgm.weights.shipped import shipped_file


def file_hashes(config: BaseModel) -> dict[str, str]:
    """SHA-256 of every file that a configuration's components name: weights, shipped or given by path."""
    return {name: _sha256(path) for name, path in _named_files(config)}


def check_unchanged(before: Mapping[str, str], config: BaseModel) -> None:
    """Refuse to go on with other files than a run began with.

    Args:
        before: what :func:`file_hashes` gave then; empty for runs of earlier versions, which are not checked.
        config: the configuration now.

    Raises:
        InputError: a file has changed or is gone.
    """
    now = file_hashes(config)
    for name, digest in before.items():
        if now.get(name) != digest:
            raise has_changed(f"'{name}'", str(getattr(config, "run", "JOB")))


def has_changed(what: str, run: str) -> InputError:
    """The error for something that a run depends on and that is not what it was."""
    return InputError(
        f"{what} has changed since the run began, and finished units would not go with new ones",
        hint=f"start a new run: `mlvgm run {run} --config …/config.yaml`",
    )


def _named_files(config: BaseModel) -> Iterator[tuple[str, Path]]:
    for kind, named in parts_of(config):
        shipped = {weights.name: weights for weights in component(kind, named.name).component.weights}
        for key, value in flatten(named.options).items():
            if key == "weights" and value in shipped:
                with shipped_file(shipped[value]) as path:
                    yield shipped[value].file, path
            elif isinstance(value, str) and Path(value).is_file():
                yield value, Path(value)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
