"""The plan of a run in words, printed before anything is computed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, cast

from mlvgm.configuration.part import Part, parts_of
from mlvgm.plugins.load import Resolved, component
from mlvgm.protocols.attack import Access, Path, gradient_paths
from mlvgm.protocols.data import DataInfo
from mlvgm_robust.purify.config import AttackRow, PurifyConfig, Row
from mlvgm_robust.purify.strong import strong_version

if TYPE_CHECKING:
    from mlvgm.foreign.nature import Nature
    from mlvgm.protocols.classifier import Classifier
    from mlvgm_robust.purify.units import RowResult

_PATHS: Mapping[tuple[Path, ...], str] = {
    ("exact",): "exact, through the whole defence: purifier, clamp and classifier, with the noise of each draw",
    ("bpda",): "BPDA: exact values, the identity for the purifier's derivative",
    ("bpda", "transfer"): (
        "the purifier is not differentiable, so BPDA (exact values, the identity for its derivative) and transfer from "
        "the bare classifier; the worse image counts"
    ),
    ("transfer",): "of the bare classifier only; attacks through the purifier may find more",
}


def purify_plan(
    config: PurifyConfig,
    *,
    data: DataInfo | None = None,
    images: int | None = None,
    loaded: bool = False,
    classifiers: Mapping[str, Classifier] | None = None,
) -> dict[str, str]:
    """What is about to happen, as titled lines.

    Args:
        config: the resolved configuration.
        data: the data set, once it has been looked at; nothing is said of it before.
        images: how many of it are used.
        loaded: the generators are, so it is known which of them have an encoder.
        classifiers: by their configuration as JSON, if they are loaded, so it is known which of them are random.
    """
    resolved = [component(kind, named.name) for kind, named in parts_of(config)]
    images = config.limit if images is None else images
    return {
        "plugins": ", ".join(dict.fromkeys(f"{item.entry.distribution} {item.entry.version}" for item in resolved)),
        **({} if data is None else {"data": _data(config, data, images)}),
        "weights": "; ".join(dict.fromkeys(line for item in _weights(config) for line in item)) or "none",
        "threat model": _grouped(_by_text(config, _threat)),
        "attack" if len(config.attacks) == 1 else "attacks": _attacks(config, images),
        "defences": "\n".join(row.label + (f": {note}" if (note := _note(row)) else "") for row in config.rows),
        "classifier": _classifiers(config, classifiers or {}),
        "encoder": _encoders(config, loaded=loaded),
        "gradient path": _grouped(_by_text(config, lambda row: _gradient_path(row, config))),
        "randomness": (
            f"{config.votes} votes ({config.rule}) in a deployed decision, one where nothing is random; "
            f"{config.eot} draws in each gradient; "
            f"candidates compete on {config.selection} fresh draws; scored once on "
            f"{max(config.score, config.votes)} others; seed {config.seed}"
        ),
        "budget": f"{_budget(config)}: {_grouped(_by_text(config, _effort))}",
        **({"protocol": f"{config.protocol}{_unclamped(config)}"} if config.protocol else {}),
        "compute": f"{config.device}, {config.threads} threads, units of {config.block} images",
    }


def _classifiers(config: PurifyConfig, loaded: Mapping[str, Classifier]) -> str:
    """Which classifiers there are, and what is known of them."""
    found = {}
    for named in (row.classifier or config.classifier for row in config.rows):
        classifier = loaded.get(named.model_dump_json())
        nature: Nature | None = getattr(classifier, "nature", None)
        known = [] if nature is None else [nature.described]
        known += [] if nature is None or nature.differentiable else ["without gradients"]
        found[named.model_dump_json()] = ", ".join([named.name, *known])
    return "; ".join(found.values())


def _data(config: PurifyConfig, data: DataInfo, images: int | None) -> str:
    return f"{data.name}, {config.split} split, first {images} images ({data.source}; licence {data.licence})"


def _unclamped(config: PurifyConfig) -> str:
    return "" if config.clamp == "hard" else "; purified images are classified without a clamp to [0, 1]"


def small_print(config: PurifyConfig, images: int) -> str:
    """What a careful reader should know about the numbers, and the command that gives better ones."""
    published = config.protocol == "published"
    if config.budget == "rigorous" and not published:
        return "" if images >= 1000 else f"{images} images: intervals are wide."
    return (
        f"{images} images and the {_budget(config)} {'protocol' if published else 'budget'}: intervals are wide, "
        f"and a stronger attack may find more. The strong version:\n{strong_version(config)}"
    )


def _budget(config: PurifyConfig) -> str:
    """What the effort of a run is called: the published protocol has its own, whatever the budget."""
    return "published" if config.protocol == "published" else config.budget


def _weights(config: PurifyConfig) -> list[list[str]]:
    lines = []
    for kind, named in parts_of(config):
        name = named.options.get("weights")
        if name is None:
            continue
        shipped = {weights.name: weights for weights in _component(kind, named).component.weights}
        lines.append(
            [f"{named.name} '{name}' ({shipped[name].summary}; licence {shipped[name].licence})"]
            if name in shipped
            else [f"{named.name} from {name}"]
        )
    return lines


def _component(kind: str, named: Part) -> Resolved:
    return component(kind, named.name)


def row_note(row: Row, result: RowResult) -> str:
    """What must be said wherever a row's numbers appear: its note, encoding, approximate gradients, refusals."""
    approximate = "" if result.differentiable else "not differentiable"
    if "bpda" in result.paths:
        approximate += "; attacked through " + " and ".join(_SHORT[path] for path in result.paths)
    refused = ""
    if result.violations:
        refused = (
            f"{result.violations} of {result.images} candidates of '{result.attack}' refused, outside ball or box: no "
            "robustness shown, not counted as robust"
        )
    return "; ".join(part for part in (_note(row), _encoder(row), approximate.removeprefix("; "), refused) if part)


def _note(row: Row) -> str:
    """The row's own note, and that of the weights it uses."""
    if row.generator is None:
        return row.note
    shipped = {weights.name: weights.note for weights in _component("generators", row.generator).component.weights}
    of_weights = shipped.get(str(row.generator.options.get("weights")), "")
    # Configurations of older runs have it in the row's note.
    return "; ".join(note for note in (row.note, "" if of_weights in row.note else of_weights) if note)


_SHORT: Mapping[str, str] = {"exact": "exact gradients", "bpda": "BPDA", "transfer": "transfer"}


def _encoder(row: Row) -> str:
    if row.encoder is None:
        return ""
    return f"{_component('encoders', row.encoder).component.summary} ({_options(row.encoder.options)})"


def _encoders(config: PurifyConfig, *, loaded: bool) -> str:
    """How the latents of images are found, rows of one kind together."""
    own = "the generator's own" if loaded else "the generator's own; inversion where its weights have none"
    found: dict[str, list[str]] = {}
    for row in config.rows:
        if row.generator is not None:
            found.setdefault(_encoder(row) or own, []).append(row.label)
    return _grouped(found) or "none"


def _by_text(config: PurifyConfig, text: Callable[[AttackRow], str]) -> dict[str, list[str]]:
    """Names of the attacks that ``text`` says the same of; whatever their radius."""
    found: dict[str, dict[str, None]] = {}
    for row in config.attacks:
        found.setdefault(text(row), {})[row.attack.name] = None
    return {said: list(names) for said, names in found.items()}


def _attacks(config: PurifyConfig, images: int | None) -> str:
    """What each attack is; a line for those on the same part of the study, which is said once."""
    found: dict[str, dict[str, None]] = {"": {}}
    for row in config.attacks:
        summary = _component("attacks", row.attack).component.summary
        found.setdefault(_share(row, images), {})[f"{row.attack.name}: {summary}"] = None
    return "\n".join(share + "; ".join(attacks) for share, attacks in found.items() if attacks)


def _share(row: AttackRow, images: int | None) -> str:
    """The part of the study that an attack is on; empty if that is all of it."""
    if row.limit is None:
        first = ""
    elif images is None or row.limit <= images:
        first = f"the first {row.limit} images"
    else:  # no error: a run that is to grow begins with fewer images than its attacks will have
        first = f"the first {row.limit} images (the limit has no effect: the run has {images})"
    rows = "" if row.rows is None else f"{len(row.rows)} defence{'s' * (len(row.rows) > 1)} ({'; '.join(row.rows)})"
    only = " of ".join(part for part in (first, rows) if part)
    return f"on {only}: " if only else ""


def _effort(row: AttackRow) -> str:
    return _options({key: value for key, value in row.attack.options.items() if key not in ("norm", "eps")})


def _gradient_path(attack: AttackRow, config: PurifyConfig) -> str:
    """How gradients reach the attack, rows of one kind together."""
    access = _access(_component("attacks", attack.attack))
    if access in ("score", "label"):
        return f"none: the attack uses {access}s only; attacks on gradients may find more"
    found: dict[str, list[str]] = {}
    for row in config.rows:
        if attack.rows is not None and row.label not in attack.rows:
            continue
        paths = gradient_paths(access, differentiable=_differentiable(row), gradient=config.gradient)
        found.setdefault(_PATHS[paths], []).append(row.label)
    return _grouped(found)


def _differentiable(row: Row) -> bool:
    parts = [_component("purifiers", row.purifier)]
    if row.encoder is not None:
        parts.append(_component("encoders", row.encoder))
    elif row.generator is not None:
        parts.append(_component("generators", row.generator))
    return all(part.component.capabilities.get("differentiable", True) for part in parts)


def _grouped(texts: Mapping[str, list[str]]) -> str:
    """The first text, and for the others the rows they are of."""
    first, *others = texts or [""]
    return "; ".join([first, *(f"{', '.join(texts[other])}: {other}" for other in others)])


def _access(attack: Resolved) -> Access:
    return cast("Access", attack.component.capabilities.get("access", "gradient"))


def _threat(row: AttackRow) -> str:
    distance = f"{row.attack.options.get('norm', '')} distance".strip()
    # Minimal-norm attacks have no radius among their options.
    ball = f"{distance} ≤ {row.attack.options['eps']}" if "eps" in row.attack.options else f"smallest {distance}"
    ball, access = f"{ball} in [0, 1] pixels", _access(_component("attacks", row.attack))
    if access == "gradient":
        return f"white box, {ball}, the attacker knows everything but the noise to come"
    if access == "classifier":
        return f"grey box, {ball}, the attacker knows the classifier and nothing of the purifier"
    return f"black box, {ball}, the attacker sees only the {access}s of the whole defence"


def _options(options: Mapping[str, object]) -> str:
    return ", ".join(f"{key} {value}" for key, value in options.items() if value is not None)
