"""Runs read back for a report: those on the same images are merged, the others stand apart with a reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mlvgm.protocols.job import Source
from mlvgm_robust.purify.outcomes import Outcome
from mlvgm_robust.purify.results import Figures, figures
from mlvgm_robust.purify.units import RowResult


def labels_of(source: Source) -> dict[int, int]:
    """True class of every image seen, by sample id."""
    return {
        sample: label
        for record in source.records.values()
        for sample, label in zip(record["samples"], record["labels"], strict=True)
    }


def class_name(source: Source, label: int) -> str:
    """Name of a class; its number where the run does not know names."""
    names = source.run.read_json("data.json").get("classes", ())
    return str(names[label]) if isinstance(names, list) and label < len(names) else f"class {label}"


def _configurations(source: Source) -> dict[tuple[str, str], str]:
    """Hash of what the units of each (defence, attack) depend on."""
    return {(r["defence"], r["attack"]): r.get("configuration", "") for r in source.records.values()}


def _defences(source: Source) -> dict[str, str]:
    """What decides under each label, as text: the same text is the same defence."""
    common = source.config.model_dump_json(include={"votes", "rule", "clamp", "score"})
    return {
        row.label: "\n".join(
            (
                row.model_dump_json(exclude={"note", "classifier"}),
                (row.classifier or source.config.classifier).model_dump_json(),
                common,
            )
        )
        for row in source.config.rows
    }


@dataclass(frozen=True)
class Merged:
    """Runs whose defences and attacks can stand in one table.

    Args:
        title: what it is about.
        sources: its runs.
        remark: why it stands apart from the sections before; empty for the first.
        rows: figures of each (defence, attack), each with its note.
        outcomes: the same per image, in the same order.
    """

    title: str
    sources: tuple[Source, ...]
    remark: str
    rows: tuple[tuple[RowResult, str], ...]
    outcomes: tuple[Outcome, ...]


def merged(sources: Sequence[Source]) -> list[Merged]:
    """Merge runs on the same images; a run that fits no section before begins one and says why."""
    groups: list[list[Source]] = []
    remarks: list[str] = []
    for source in sources:
        reasons = []
        for group in groups:
            reason = next((why for other in group if (why := _apart(other, source))), "")
            if not reason:
                group.append(source)
                break
            reasons.append(reason)
        else:
            groups.append([source])
            remarks.append("; ".join(dict.fromkeys(reasons)))
    return [_section(group, remark) for group, remark in zip(groups, remarks, strict=True)]


def _apart(first: Source, second: Source) -> str:
    """Why two runs cannot stand in one table; empty if they can."""
    one, other = f"run '{first.name}'", f"run '{second.name}'"
    if (first.config.data, first.config.split) != (second.config.data, second.config.split):
        return f"{other} is on other data or another split than {one}"
    if first.config.limit != second.config.limit:
        return f"{other} is on {_count(second)} images, {one} on {_count(first)}"
    known, labels = labels_of(first), labels_of(second)
    if any(known[sample] != label for sample, label in labels.items() if sample in known):
        return f"images of the same sample id have other classes in {other} than in {one}"
    defences = _defences(first)
    for label, text in _defences(second).items():
        if defences.get(label, text) != text:
            return f"'{label}' is another defence in {other} than in {one}"
    made = _configurations(first)
    for key, configuration in _configurations(second).items():
        if made.get(key, configuration) != configuration:
            return f"'{key[1]}' against '{key[0]}' has other settings in {other} than in {one}"
    return ""


def _count(source: Source) -> str:
    return "all" if source.config.limit is None else f"the first {source.config.limit}"


def _section(sources: Sequence[Source], remark: str) -> Merged:
    """A section in the order of the configurations; what several runs have done comes from that with more images."""
    found: dict[tuple[str, str], Figures] = {}
    for source in sources:
        for one in figures(source.config, source.records.values()):
            key = one.row.label, one.row.attack
            if key not in found or one.row.images > found[key].row.images:
                found[key] = one
    labels = list(dict.fromkeys(row.label for source in sources for row in source.config.rows))
    attacks = list(dict.fromkeys(row.label for source in sources for row in source.config.attacks))
    ordered = sorted(found, key=lambda key: (labels.index(key[0]), attacks.index(key[1])))
    config = sources[0].config
    data = f"{config.data.name}, {config.split} split"
    title = f"{config.attacks[0].label} on {data}" if len(attacks) == 1 else f"{len(attacks)} attacks on {data}"
    return Merged(
        title,
        tuple(sources),
        remark,
        tuple((found[key].row, found[key].note) for key in ordered),
        tuple(found[key].outcome for key in ordered),
    )
