"""The Markdown card beside trained weights: how they were made and what they are worth."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from pathlib import Path

import torch

from mlvgm.configuration.settings import flatten
from mlvgm.files import write_text
from mlvgm.protocols.train import Made
from mlvgm.training.session import Session


def write_card(
    session: Session, made: Made, *, seconds: float, figure: Path | None, data_options: Mapping[str, object]
) -> Path:
    """Write ``<weights>.md`` beside the finished weights and return its path.

    Args:
        session: of the training.
        made: what the training says of the weights.
        seconds: processor time.
        figure: chart of the training's figures, in the same folder.
        data_options: what the data set was made with, and its ``name`` where the user gave an argument with it.
    """
    content, data = session.weights.read_bytes(), session.data.info
    lines = [
        f"# {made.title}",
        "",
        made.summary,
        "",
        f"- Data: {data.name}, train split ({data.licence})",
        f"- Command: `{training_command(session, data_options)}`",
        f"- Seed: {session.seed}; {seconds:.0f} CPU seconds; torch {torch.__version__}, {platform.machine()}",
        *(f"- {finding}" for finding in made.findings),
        f"- File: {len(content):,} bytes, sha256 `{hashlib.sha256(content).hexdigest()}`",
        f"- Licence: none stated; whoever trained it may choose one that its data ({data.licence}) and what it started "
        "from allow",
        "",
        *([] if figure is None else [f"![figures of each step]({figure.name})", ""]),
        *((*made.details, "") if made.details else ()),
    ]
    card = session.weights.with_suffix(".md")
    write_text(card, "\n".join(lines))
    return card


def training_command(session: Session, data_options: Mapping[str, object]) -> str:
    """The command that repeats a training: every option that is not a default, those of nested ones one by one."""
    given = session.config.model_dump(mode="json", exclude_defaults=True)
    data = {"name": session.data.info.name, **data_options}
    name = data.pop("name")
    options = flatten({"data": data, "train": given}).items()
    settings = "".join(f" --set '{option}={_value(value)}'" for option, value in options)
    return f"mlvgm train {session.kind} {session.name} --data {name} --seed {session.seed}{settings}"


def _value(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
