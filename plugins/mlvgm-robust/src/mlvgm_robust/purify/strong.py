"""The strong version of a run: its own command with the rigorous budget."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

import yaml

from mlvgm.configuration.config import ResolvedConfig
from mlvgm.configuration.settings import flatten
from mlvgm.errors import MlvgmError
from mlvgm.plugins.load import component, config_class, preset
from mlvgm_robust.purify.config import COMPONENTS, DEFAULT_NAMES, PurifyConfig
from mlvgm_robust.purify.resolve import collect, resolve, with_default_encoder

_OF_THE_RUN = ("seed", "split", "rule", "clamp", "gradient", "device", "fail_under")


def strong_version(config: PurifyConfig) -> str:
    """The command that repeats ``config`` at full effort: the same data, classifier, defences and threat.

    Options that a budget sets (images, draws, steps) are left to it; attacks that no budget makes stronger are replaced
    by the default one. What no command line spells out (a configuration that lists its defences) is said to be edited.
    """
    try:
        command = _command(config)
    except MlvgmError:  # a stored run may name what is not installed any more
        command = None
    return command or "the same configuration file with `budget: rigorous`, without its attacks' options"


def _command(config: PurifyConfig) -> str | None:
    flags = _flags(config)
    published = config.protocol == "published"
    budget = {"protocol": "rigorous"} if published else {"budget": "rigorous"}
    plain = _resolved(flags, (), {"protocol": "published"} if published else {"budget": config.budget})
    for compared in ([], ["compare=false"]):
        assignments = [*_assignments(config, plain), *compared]
        if _defences(_resolved(flags, assignments, budget)) == _defences(config):
            words = [
                f"--{name.removesuffix('.name')} {shlex.quote(one)}" for name in flags for one in _listed(flags[name])
            ]
            words += [f"--set {shlex.quote(one)}" for one in assignments]
            return " ".join(["mlvgm run purify", *words, *(f"--{name} {value}" for name, value in budget.items())])
    return None


def _flags(config: PurifyConfig) -> dict[str, Any]:
    """The components by name, also those that are the default: they may change. Only mlvgm is what purifies unsaid."""
    first = config.rows[0]
    generator = next((row.generator for row in config.rows if row.generator), None)
    parts = {"purifier": first.purifier, "generator": generator, "encoder": first.encoder}
    named = {
        f"{name}.name": part.name
        for name, part in parts.items()
        if part is not None and (name != "purifier" or part.name != DEFAULT_NAMES[name])
    }
    named |= {"data.name": config.data.name, "classifier.name": config.classifier.name}
    if config.protocol == "published":
        return named
    attacks = list(dict.fromkeys(row.attack.name for row in config.attacks))
    return named | {"attack.name": attacks if _grows(config) else [DEFAULT_NAMES["attack"]]}


def _grows(config: PurifyConfig) -> bool:
    """Whether one of the attacks takes more effort under the rigorous budget."""
    names = {row.attack.name for row in config.attacks}
    return any(_effort("attack", name, config.budget) != _effort("attack", name, "rigorous") for name in names)


def _assignments(config: PurifyConfig, plain: PurifyConfig) -> list[str]:
    """``KEY=VALUE`` of what distinguishes ``config`` from ``plain``, which has nothing but its components' names."""
    if config.rows[0].encoder is not None and plain.rows[0].encoder is None:
        plain = with_default_encoder(ResolvedConfig(plain, {}), {0}).config
    base = _options(plain)
    changed = {key: value for key, value in _options(config).items() if base.get(key, _MISSING) != value}
    if config.protocol != "published":
        changed |= _threat(config)
    presets = {PurifyConfig.BUDGETS[budget]["votes"] for budget in PurifyConfig.BUDGETS}
    if config.protocol != "published" and config.votes not in presets:  # votes are the deployed decision, no effort
        changed["votes"] = config.votes
    return [f"{key}={_text(value)}" for key, value in changed.items()]


_MISSING = object()


def _options(config: PurifyConfig) -> dict[str, Any]:
    """Options of the run and of its first defence that are no effort, by dotted key."""
    first = config.rows[0]
    parts = {"data": config.data, "classifier": config.classifier, "purifier": first.purifier}
    parts |= {name: part for name, part in (("generator", first.generator), ("encoder", first.encoder)) if part}
    found = {
        f"{name}.{key}": value
        for name, part in parts.items()
        for key, value in flatten(part.options).items()
        if key not in _effort(name, part.name, config.budget)
    }
    published = config.protocol == "published"  # which sets its own
    return found | {key: getattr(config, key) for key in _OF_THE_RUN if not (published and key == "clamp")}


def _threat(config: PurifyConfig) -> dict[str, Any]:
    """Norm, radii and what else of the attacks is no effort and the same in all that have it."""
    radii = list(dict.fromkeys(row.attack.options["eps"] for row in config.attacks if "eps" in row.attack.options))
    found: dict[str, Any] = {"radii": radii} if len(radii) > 1 else {}
    keys = dict.fromkeys(key for row in config.attacks for key in row.attack.options)
    keys = keys if _grows(config) else {key: None for key in ("norm", "eps") if key in keys}
    for key in keys:
        having = [row.attack for row in config.attacks if key in row.attack.options]
        values = [attack.options[key] for attack in having]
        if any(key in _effort("attack", attack.name, config.budget) for attack in having):
            continue
        model = config_class(component("attacks", having[0].name))
        default = model.model_fields[key].default if key in model.model_fields else _MISSING
        said = key in ("norm", "eps") or values[0] != default
        if said and values[0] is not None and all(value == values[0] for value in values):
            found[f"attack.{key}"] = values[0]
    return found


def _effort(name: str, chosen: str, budget: str) -> Mapping[str, object]:
    """What a budget sets of a component."""
    return preset(component(COMPONENTS[name], chosen), budget)


def _resolved(flags: Mapping[str, Any], assignments: list[str] | tuple[()], others: Mapping[str, Any]) -> PurifyConfig:
    settings = collect(assignments=assignments, flags={**flags, **others}, file=None, environ={})
    return resolve(settings, threads=1).config


def _defences(config: PurifyConfig) -> list[dict[str, Any]]:
    """The rows, but for encoders, which may follow from weights that are not loaded here."""
    return [row.model_dump(mode="json", exclude={"encoder"}) for row in config.rows]


def _listed(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return yaml.safe_dump(value, default_flow_style=True, width=10_000).removesuffix("\n").removesuffix("\n...")
