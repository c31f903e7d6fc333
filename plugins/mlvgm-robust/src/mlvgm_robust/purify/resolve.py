"""From what the user said to a complete configuration, with the source of each value."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from mlvgm.configuration.config import ResolvedConfig
from mlvgm.configuration.resolve import budget_of, options_of, tree
from mlvgm.configuration.resolve import collect as collect_settings
from mlvgm.configuration.settings import Setting, Settings, flatten, part
from mlvgm.errors import ConfigError, unknown
from mlvgm.plugins.load import component, config_class
from mlvgm_robust.purify.config import COMPONENTS, DEFAULT_NAMES, PurifyConfig, checked
from mlvgm_robust.purify.presets import with_protocol
from mlvgm_robust.purify.recipes import OF_ROWS, defences, named, resolved_component


def collect(
    *, assignments: Iterable[str], flags: Mapping[str, Any], file: Path | None = None, environ: Mapping[str, str]
) -> dict[str, Setting]:
    """All explicit settings; see :func:`mlvgm.configuration.resolve.collect`. Several attacks are a list."""
    return collect_settings(assignments=assignments, flags=flags, file=file, environ=environ, parts=COMPONENTS)


def check_given(settings: Settings) -> None:
    """Check the options of every component that the user names, before anything is loaded.

    Raises:
        ConfigError: an option is unknown or out of bounds.
        PluginError: there is no such component.
    """
    for name in COMPONENTS:
        if f"{name}.name" in settings and isinstance(settings[f"{name}.name"].value, str):
            _options(name, part(settings, name), None)


def resolve(settings: Settings, *, threads: int) -> ResolvedConfig[PurifyConfig]:
    """Check every setting against the component it belongs to and fill in budgets and defaults. Loads no weights.

    Raises:
        ConfigError: an option is unknown or its value is not allowed.
        PluginError: a component is unknown or does not load.
    """
    settings = with_protocol(settings)
    own = {key: value for key, value in settings.items() if key.split(".")[0] not in COMPONENTS}
    known = set(PurifyConfig.model_fields) | {"compare", "radii"}
    for key in own:
        if key not in known:  # none of them has options below it
            raise unknown("option", key, known | set(COMPONENTS))
    budget, effort = budget_of(PurifyConfig, own)
    values: dict[str, Setting] = {"budget": Setting(budget, "default"), "threads": Setting(threads, "this machine")}
    values |= effort | {k: value for k, value in own.items() if k not in ("compare", "radii", "rows", "attacks")}

    for name in ("data", "classifier"):
        chosen = _options(name, part(settings, name), budget)
        values |= {f"{name}.{key}": value for key, value in chosen.items()}
    if "rows" in settings:
        rows = [_listed_row(row, budget) for row in _listed("rows", settings, others=OF_ROWS)]
    else:
        compare = own.get("compare", Setting(True, "default")).value
        if not isinstance(compare, bool):
            raise ConfigError(f"run.compare: must be true or false (got {compare!r})")
        rows = _compared(settings, budget, compare=compare)
    attacks = (
        [_listed_attack(attack, budget) for attack in _listed("attacks", settings, others=("attack", "radii"))]
        if "attacks" in settings
        else _attacks(settings, budget)
    )
    lists = {"rows": rows, "attacks": attacks}
    config = checked(tree(values) | {name: [tree(one) for one in found] for name, found in lists.items()})
    values |= {
        f"{name}.{number}.{key}": value
        for name, found in lists.items()
        for number, one in enumerate(found)
        for key, value in one.items()
    }
    defaults = {key: "default" for key in flatten(config.model_dump(exclude=set(lists))) if key not in values}
    return ResolvedConfig(config, defaults | {key: value.source for key, value in values.items()})


def with_default_encoder(resolved: ResolvedConfig[PurifyConfig], rows: Collection[int]) -> ResolvedConfig[PurifyConfig]:
    """The configuration in which ``rows``, whose generators turned out to have no encoder, get the default one."""
    if not rows:
        return resolved
    chosen = _options("encoder", {}, resolved.config.budget)
    chosen = {key: Setting(value.value, "the generator has no encoder") for key, value in chosen.items()}
    grown = resolved.config.model_dump(mode="json")
    for number in rows:
        grown["rows"][number]["encoder"] = tree(chosen)
    sources = {f"rows.{number}.encoder.{key}": value.source for number in rows for key, value in chosen.items()}
    return ResolvedConfig(checked(grown), {**resolved.sources, **sources})


def _options(name: str, settings: Mapping[str, Setting], budget: str | None) -> dict[str, Setting]:
    """All options of one component, checked: default < budget < explicit."""
    return options_of(COMPONENTS[name], settings, default=DEFAULT_NAMES[name], budget=budget)


def _compared(settings: Settings, budget: str, *, compare: bool) -> list[dict[str, Setting]]:
    """The rows that nobody spelt out, each once."""
    rows: list[dict[str, Setting]] = []
    seen: list[dict[str, Any]] = []
    for recipe, own in defences(settings, compare=compare):
        options = _parts(own, budget)
        if tree(options) not in seen:
            seen.append(tree(options))
            label, note = named(recipe, options)
            rows.append({"label": Setting(label, "recipe"), "note": Setting(note, "recipe")} | options)
    return rows


def _parts(settings: Settings, budget: str) -> dict[str, Setting]:
    """All options of one defence's own components."""
    parts = {name: part(settings, name) for name in OF_ROWS}
    needs = resolved_component("purifier", parts["purifier"]).component.capabilities
    if not needs.get("needs_generator"):
        del parts["generator"]
    if not (parts["encoder"] and needs.get("needs_encoder")):
        del parts["encoder"]
    return {
        f"{name}.{key}": value for name, given in parts.items() for key, value in _options(name, given, budget).items()
    }


def _listed(name: str, settings: Settings, *, others: Collection[str]) -> list[dict[str, Setting]]:
    """The rows or attacks that a configuration file lists, each as settings."""
    idle = [key for key in settings if key.split(".")[0] in others]
    if idle:
        raise ConfigError(f"'{idle[0]}' has no effect: the configuration lists its {name}", hint="edit them there")
    listed, source = settings[name].value, settings[name].source
    if not (isinstance(listed, list) and all(isinstance(one, dict) for one in listed)):
        raise ConfigError(f"run.{name}: expected a list of mappings", hint="a run's config.yaml shows one")
    found = [
        {
            f"{key}.name" if key in COMPONENTS and isinstance(value, str) else key: Setting(value, source)
            for key, value in flatten(one).items()
        }
        for one in listed
    ]
    for number, one in enumerate(found):
        if not isinstance(one.get("label", Setting(None, "")).value, str):
            raise ConfigError(f"run.{name}.{number}.label: expected a text, which names it in tables")
    return found


def _listed_row(settings: Settings, budget: str) -> dict[str, Setting]:
    """A listed defence, its options checked and filled in."""
    _refuse_unknown(settings, ("label", "note", "classifier", *OF_ROWS), what="rows")
    row = {"label": settings["label"], "note": settings.get("note", Setting("", "default"))} | _parts(settings, budget)
    classifier = part(settings, "classifier")
    if classifier:
        row |= {f"classifier.{key}": value for key, value in _options("classifier", classifier, budget).items()}
    return row


def _listed_attack(settings: Settings, budget: str) -> dict[str, Setting]:
    """A listed attack, its options checked and filled in."""
    _refuse_unknown(settings, ("label", "attack", "rows", "limit"), what="attacks")
    options = _options("attack", part(settings, "attack"), budget)
    named = {f"attack.{key}": value for key, value in options.items()}
    return {key: settings[key] for key in ("label", "rows", "limit") if key in settings} | named


def _refuse_unknown(settings: Settings, known: Collection[str], *, what: str) -> None:
    for key in settings:
        if key.split(".")[0] not in known:
            raise unknown("option", f"{what}.{key}", [f"{what}.{name}" for name in known])


def _attacks(settings: Settings, budget: str) -> list[dict[str, Setting]]:
    """The attacks asked for by name, those with a fixed radius once for each of the radii."""
    given = part(settings, "attack")
    named = given.pop("name", Setting(DEFAULT_NAMES["attack"], "default"))
    names = named.value if isinstance(named.value, list) else [named.value]
    fields = [set(config_class(component("attacks", str(name))).model_fields) for name in names]
    for key in given if len(names) > 1 else ():  # one alone complains for itself
        if not any(key.split(".")[0] in has for has in fields):
            raise unknown("option", f"attack.{key}", [f"attack.{name}" for has in fields for name in has])
    radii = settings.get("radii", Setting(None, "default"))
    if radii.value is not None and not (isinstance(radii.value, list) and radii.value):
        raise ConfigError(f"run.radii: expected a list of numbers, came {radii.value!r}", hint="--set radii=[0.5,1]")
    if radii.value is not None and "eps" in given:
        raise ConfigError("'attack.eps' has no effect beside 'radii'", hint="leave one of them out")
    found = []
    for name, has in zip(names, fields, strict=True):
        own = {key: value for key, value in given.items() if len(names) == 1 or key.split(".")[0] in has}
        for eps in radii.value if radii.value is not None and "eps" in has else (None,):
            ball = {} if eps is None else {"eps": Setting(eps, radii.source)}
            options = _options("attack", {"name": Setting(name, named.source)} | own | ball, budget)
            label = Setting(str(name) if eps is None else f"{name}, eps {eps}", named.source)
            found.append({"label": label} | {f"attack.{key}": value for key, value in options.items()})
    return found
