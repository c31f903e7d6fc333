"""What units depend on, as hashes, so that resuming notices changes."""

from __future__ import annotations

import hashlib

from pydantic_core import to_json

from mlvgm_robust.purify.config import PurifyConfig

# In an order that is part of the hash, and so of every run on record.
_OF_ALL_UNITS = (
    "run",
    "seed",
    "split",
    "votes",
    "rule",
    "clamp",
    "eot",
    "selection",
    "score",
    "block",
    "memory",
    "gradient",
    "device",
    "threads",
    "data",
    "classifier",
)


def unit_configurations(config: PurifyConfig) -> dict[tuple[str, str], str]:
    """SHA-256 of everything in the configuration that the units of (defence, attack) depend on."""
    common = to_json({name: getattr(config, name) for name in _OF_ALL_UNITS}).decode()
    rows = {row.label: row.model_dump_json(exclude={"note"}) for row in config.rows}
    attacks = {row.label: row.attack.model_dump_json() for row in config.attacks}
    return {
        (row, attack): hashlib.sha256("\n".join((common, rows[row], attacks[attack])).encode()).hexdigest()
        for attack, attacked in config.attacked().items()
        for row in attacked
    }
