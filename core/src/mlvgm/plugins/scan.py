"""Scan: the entry points of all installed distributions, from their metadata; nothing is imported."""

from __future__ import annotations

from importlib.metadata import Distribution, distributions
from pathlib import Path

from mlvgm.foreign.others import described
from mlvgm.plugins.check import Check
from mlvgm.plugins.entry import Entry, canonical


def scan() -> tuple[list[Entry], list[Check]]:
    """The entry points of all installed distributions, and what is wrong with those whose metadata cannot be read."""
    entries: list[Entry] = []
    unreadable: list[Check] = []
    seen: set[str] = set()
    for distribution in distributions():
        try:
            # Parsing every installed package's entry points costs more than reading them.
            if "[mlvgm." not in (distribution.read_text("entry_points.txt") or ""):
                continue
            name, found = _read(distribution)
        except Exception as error:  # files of other people may be damaged in any way
            text = f"metadata cannot be read: {described(error)}"
            unreadable.append(Check(_folder(distribution), "warning", text))
            continue
        if name not in seen:  # a later copy on sys.path is one that Python would not import either
            seen.add(name)
            entries += found
    return entries, unreadable


def damage(error: BaseException) -> str | None:
    """What makes reading metadata fail, in words, if that is what raised ``error``: libraries read all of it too."""
    cause = described(error)
    return next((f"{check.name}: {check.detail}" for check in scan()[1] if check.detail.endswith(cause)), None)


def _read(distribution: Distribution) -> tuple[str, list[Entry]]:
    """The canonical name of a distribution, and its entries."""
    # The parser of importlib.metadata is one for mail, and costs more than all the rest.
    text = distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or ""
    metadata = dict(line.partition(": ")[::2] for line in text.partition("\n\n")[0].splitlines())
    name = metadata.get("Name", "").strip() or _folder(distribution).rpartition("-")[0] or _folder(distribution)
    return canonical(name), [
        Entry(ep.group.removeprefix("mlvgm."), ep.name, name, metadata.get("Version", "").strip(), ep.value, ep)
        for ep in distribution.entry_points
        if ep.group.startswith("mlvgm.")
    ]


def _folder(distribution: Distribution) -> str:
    """The name of a distribution's folder of metadata, without its suffix: what is left where it has no name."""
    return Path(str(getattr(distribution, "_path", "a distribution without a name"))).stem
