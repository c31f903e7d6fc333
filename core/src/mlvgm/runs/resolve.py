"""From what the user said to a complete configuration, with the source of each value."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from mlvgm.errors import ConfigError, unknown
from mlvgm.plugins.load import component, config_class, configured, plain, preset
from mlvgm.runs.config import COMPONENTS, DEFAULT_NAMES, PurifyConfig, ResolvedConfig, checked
from mlvgm.runs.protocols import with_protocol
from mlvgm.runs.recipes import OF_ROWS, defences, named, resolved_component
from mlvgm.runs.settings import Setting, Settings, flatten, from_assignments, from_environment, from_file, nest, part


def collect(
    *, assignments: Iterable[str], flags: Mapping[str, Any], file: Path | None, environ: Mapping[str, str]
) -> dict[str, Setting]:
    """All explicit settings, strongest last: file, environment, flags, ``--set``.

    A component's bare key is its name: ``attack=square`` means ``attack.name=square``. Several attacks are a list.
    """
    written = {} if file is None else from_file(file)
    flagged = {
        key: Setting(value, f"--{key.removesuffix('.name')}") for key, value in flags.items() if value not in (None, [])
    }
    assigned = from_assignments(assignments, source="--set")
    for key, setting in assigned.items():
        said = flagged.get(f"{key}.name" if key in COMPONENTS else key)
        if said is not None and said.value not in (setting.value, [setting.value]):
            raise ConfigError(f"{said.source} {said.value} and --set {key}={setting.value} contradict each other")
    settings = written | from_environment(environ) | flagged | assigned
    if "budget" in written and written["budget"].value != settings["budget"].value:
        # Its values are those of its own budget and win over a preset: the run would bear a name it has not earned.
        raise ConfigError(
            f"configuration '{file}' is of budget '{written['budget'].value}'", hint="edit the file to change it"
        )
    return {f"{key}.name" if key in COMPONENTS else key: value for key, value in settings.items()}


def resolve(settings: Settings, *, threads: int) -> ResolvedConfig:
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
    budget = str(own["budget"].value) if "budget" in own else "demo"
    if budget not in PurifyConfig.BUDGETS:
        raise unknown("budget", budget, PurifyConfig.BUDGETS)
    effort = {k: Setting(v, f"budget {budget}") for k, v in PurifyConfig.BUDGETS[budget].items()}
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
    config = checked(_tree(values) | {name: [_tree(one) for one in found] for name, found in lists.items()})
    values |= {
        f"{name}.{number}.{key}": value
        for name, found in lists.items()
        for number, one in enumerate(found)
        for key, value in one.items()
    }
    defaults = {key: "default" for key in flatten(config.model_dump(exclude=set(lists))) if key not in values}
    return ResolvedConfig(config, defaults | {key: value.source for key, value in values.items()})


def with_default_encoder(resolved: ResolvedConfig, rows: Collection[int]) -> ResolvedConfig:
    """The configuration in which ``rows``, whose generators turned out to have no encoder, get the default one."""
    if not rows:
        return resolved
    chosen = _options("encoder", {}, resolved.config.budget)
    chosen = {key: Setting(value.value, "the generator has no encoder") for key, value in chosen.items()}
    tree = resolved.config.model_dump(mode="json")
    for number in rows:
        tree["rows"][number]["encoder"] = _tree(chosen)
    sources = {f"rows.{number}.encoder.{key}": value.source for number in rows for key, value in chosen.items()}
    return ResolvedConfig(checked(tree), {**resolved.sources, **sources})


def _options(name: str, settings: Mapping[str, Setting], budget: str) -> dict[str, Setting]:
    """All options of one component, checked: default < budget < explicit."""
    resolved = resolved_component(name, settings)
    explicit = {key: Setting(value, "name") for key, value in resolved.given.items()}
    explicit |= {key: value for key, value in settings.items() if key != "name"}
    merged = {key: Setting(value, f"budget {budget}") for key, value in preset(resolved, budget).items()} | explicit
    values = plain(resolved, configured(resolved, _tree(merged)))
    everything = {key: merged.get(key, Setting(value, "default")) for key, value in flatten(values).items()}
    return {"name": settings.get("name", Setting(DEFAULT_NAMES[name], "default"))} | everything


def _compared(settings: Settings, budget: str, *, compare: bool) -> list[dict[str, Setting]]:
    """The rows that nobody spelt out, each once."""
    rows: list[dict[str, Setting]] = []
    seen: list[dict[str, Any]] = []
    for recipe, own in defences(settings, compare=compare):
        options = _parts(own, budget)
        if _tree(options) not in seen:
            seen.append(_tree(options))
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


def _tree(settings: Settings) -> dict[str, Any]:
    return nest({key: value.value for key, value in settings.items()})
