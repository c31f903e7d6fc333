"""The plan of a run in words, printed before anything is computed."""

from __future__ import annotations

from collections.abc import Mapping

from mlvgm.plugins.load import Resolved, component
from mlvgm.protocols.data import DataInfo
from mlvgm.runs.config import COMPONENTS, Named, PurifyConfig, Row


def purify_plan(config: PurifyConfig, *, data: DataInfo, images: int) -> dict[str, str]:
    """What is about to happen, as titled lines."""
    attack = component("attacks", config.attack.name)
    main = config.rows[0]
    resolved = [component(COMPONENTS[kind], named.name) for kind, named in _components(config)]
    return {
        "plugins": ", ".join(dict.fromkeys(f"{item.entry.distribution} {item.entry.version}" for item in resolved)),
        "data": f"{data.name}, {config.split} split, first {images} images ({data.source}; licence {data.licence})",
        "weights": "; ".join(dict.fromkeys(line for item in _weights(config) for line in item)) or "none",
        "threat model": _threat(attack, config.attack.options),
        "attack": f"{config.attack.name}: {attack.component.summary}",
        "defences": "; ".join(row.label + (f" ({row.note})" if row.note else "") for row in config.rows),
        "gradient path": _gradient_path(attack, main),
        "randomness": (
            f"{config.votes} votes ({config.rule}) in a deployed decision; {config.eot} draws in each gradient; "
            f"candidates compete on {config.selection} fresh draws; scored once on "
            f"{max(config.score, config.votes)} others; seed {config.seed}"
        ),
        "budget": f"{config.budget}: {_options(config.attack.options)}",
        "compute": f"{config.device}, {config.threads} threads, units of {config.block} images",
    }


def small_print(config: PurifyConfig, images: int) -> str:
    """What a careful reader should know about the numbers, and the command that gives better ones."""
    if config.budget == "rigorous":
        return "" if images >= 1000 else f"{images} images: intervals are wide."
    parts = {"data": config.data.name, "classifier": config.classifier.name, "attack": config.attack.name}
    options = {name: config.attack.options.get(name) for name in ("norm", "eps")}
    strong = "".join(f" --{name} {value}" for name, value in ({"generator": _generator(config)} | parts).items())
    strong += "".join(f" --set attack.{name}={value}" for name, value in options.items() if value is not None)
    return (
        f"{images} images and the {config.budget} budget: intervals are wide, and a stronger attack may find more. "
        f"The strong version: mlvgm run purify{strong} --budget rigorous"
    )


def _generator(config: PurifyConfig) -> str:
    return next((row.generator.name for row in config.rows if row.generator), "nvae")


def _components(config: PurifyConfig) -> list[tuple[str, Named]]:
    found = [("data", config.data), ("classifier", config.classifier), ("attack", config.attack)]
    for row in config.rows:
        found.append(("purifier", row.purifier))
        if row.generator is not None:
            found.append(("generator", row.generator))
    return found


def _weights(config: PurifyConfig) -> list[list[str]]:
    lines = []
    for kind, named in _components(config):
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


def _component(kind: str, named: Named) -> Resolved:
    return component(COMPONENTS[kind], named.name)


def _access(attack: Resolved) -> str:
    return str(attack.component.capabilities.get("access", "gradient"))


def _threat(attack: Resolved, options: Mapping[str, object]) -> str:
    ball = f"{options.get('norm', '?')} distance ≤ {options.get('eps', '?')} in [0, 1] pixels"
    if _access(attack) != "gradient":
        return f"black box, {ball}, the attacker sees only the {_access(attack)}s of the whole defence"
    return f"white box, {ball}, the attacker knows everything but the noise to come"


def _gradient_path(attack: Resolved, row: Row) -> str:
    if _access(attack) != "gradient":
        return f"none: the attack uses {_access(attack)}s only; attacks on gradients may find more"
    purifier = component("purifiers", row.purifier.name).component
    if not purifier.capabilities.get("differentiable", True):
        return "none: the purifier is not differentiable, only attacks on scores or labels apply"
    return "exact, through the whole defence: purifier, clamp and classifier, with the noise of each draw"


def _options(options: Mapping[str, object]) -> str:
    return ", ".join(f"{key} {value}" for key, value in options.items() if value is not None)
