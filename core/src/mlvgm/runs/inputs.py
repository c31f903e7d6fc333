"""What a run was made from, so that resuming notices changes: hashes of its units' configuration and of its files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mlvgm.errors import InputError
from mlvgm.plugins.load import component
from mlvgm.runs.config import COMPONENTS, PurifyConfig
from mlvgm.runs.settings import flatten
from mlvgm.weights.shipped import shipped_file

# What decides which units there are, and nothing within them: a run may grow.
_OF_THE_RUN = {"budget", "protocol", "limit", "fail_under", "rows", "attacks"}


def unit_configurations(config: PurifyConfig) -> dict[tuple[str, str], str]:
    """SHA-256 of everything in the configuration that the units of (defence, attack) depend on."""
    common = config.model_dump_json(exclude=_OF_THE_RUN)
    rows = {row.label: row.model_dump_json(exclude={"note"}) for row in config.rows}
    attacks = {row.label: row.attack.model_dump_json() for row in config.attacks}
    return {
        (row, attack): hashlib.sha256("\n".join((common, rows[row], attacks[attack])).encode()).hexdigest()
        for attack, attacked in config.attacked().items()
        for row in attacked
    }


def file_hashes(config: PurifyConfig) -> dict[str, str]:
    """SHA-256 of every file the configuration names: weights, shipped or given by path."""
    return {name: _sha256(path) for name, path in _named_files(config)}


def check_unchanged(before: Mapping[str, str], records: Mapping[str, Mapping[str, Any]], config: PurifyConfig) -> None:
    """Refuse to go on with other files, or another configuration of finished units, than a run began with.

    More defences, attacks or images are welcome.

    Args:
        before: what :func:`file_hashes` gave then; empty for runs of earlier versions, which are not checked.
        records: finished units.
        config: the configuration now.

    Raises:
        InputError: something has changed or is gone.
    """
    now, units = file_hashes(config), unit_configurations(config)
    changed = [f"'{name}'" for name in before if now.get(name) != before[name]]
    for record in records.values():
        known = units.get((record["defence"], record["attack"]))
        if known != record.get("configuration", known) or known is None:
            changed.append(f"the configuration of '{record['defence']}' under '{record['attack']}'")
    if changed:
        raise InputError(
            f"{changed[0]} has changed since the run began, and finished units would not go with new ones",
            hint="start a new run: `mlvgm run purify --config …/config.yaml`",
        )


def _named_files(config: PurifyConfig) -> Iterator[tuple[str, Path]]:
    for kind, named in config.components():
        shipped = {weights.name: weights for weights in component(COMPONENTS[kind], named.name).component.weights}
        for key, value in flatten(named.options).items():
            if key == "weights" and value in shipped:
                with shipped_file(shipped[value]) as path:
                    yield shipped[value].file, path
            elif isinstance(value, str) and Path(value).is_file():
                yield value, Path(value)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
