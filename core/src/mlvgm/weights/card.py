"""The Markdown card beside trained weights: how they were made and what they are worth."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import torch
from pydantic import BaseModel

from mlvgm.files import write_text
from mlvgm.protocols.data import DataInfo, Split


def write_card(
    weights: Path,
    *,
    title: str,
    summary: str,
    command: str,
    data: DataInfo,
    split: Split | None = None,
    seed: int,
    seconds: float,
    findings: Sequence[str] = (),
    details: Sequence[str] = (),
) -> Path:
    """Write ``<weights>.md`` beside the weights and return its path.

    Args:
        weights: the safetensors file, finished.
        title: heading.
        summary: what the model is, and what sets it apart.
        command: repeats the training.
        data: what it was trained on.
        split: which split of it; None says nothing about that.
        seed: of the training.
        seconds: CPU time.
        findings: one line each; figures with what they were measured on.
        details: Markdown lines below all that.
    """
    content = weights.read_bytes()
    lines = [
        f"# {title}",
        "",
        summary,
        "",
        f"- Data: {data.name}{'' if split is None else f', {split} split'} ({data.licence})",
        f"- Command: `{command}`",
        f"- Seed: {seed}; {seconds:.0f} CPU seconds; torch {torch.__version__}, {platform.machine()}",
        *(f"- {finding}" for finding in findings),
        f"- File: {len(content):,} bytes, sha256 `{hashlib.sha256(content).hexdigest()}`",
        f"- Licence: none stated; whoever trained it may choose one that its data ({data.licence}) and what it started "
        "from allow",
        "",
        *((*details, "") if details else ()),
    ]
    card = weights.with_suffix(".md")
    write_text(card, "\n".join(lines))
    return card


def training_command(kind: str, name: str, config: BaseModel, *, data: DataInfo, seed: int) -> str:
    """The command that repeats a training: every option that is not a default."""
    given: Mapping[str, object] = config.model_dump(mode="json", exclude_defaults=True)
    options = "".join(f" --set '{option}={_value(value)}'" for option, value in _leaves("train", given))
    return f"mlvgm train {kind} {name} --data {data.name} --seed {seed}{options}"


def _leaves(prefix: str, tree: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    """Dotted options: ``--set`` takes fields of a nested configuration one by one."""
    for option, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(f"{prefix}.{option}", value)
        else:
            yield f"{prefix}.{option}", value


def _value(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
