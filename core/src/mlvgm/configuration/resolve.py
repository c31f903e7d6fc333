"""From what the user said to a complete configuration, with the source of each value."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from mlvgm.configuration.config import ResolvedConfig, RunConfig
from mlvgm.configuration.part import kinds_of
from mlvgm.configuration.settings import (
    Setting,
    Settings,
    flatten,
    from_assignments,
    from_environment,
    from_file,
    nest,
    part,
)
from mlvgm.errors import ConfigError, unknown
from mlvgm.plugins.index import noun
from mlvgm.plugins.load import component, configured, plain, preset
from mlvgm.plugins.options import validate

C = TypeVar("C", bound=RunConfig)


def collect(
    *,
    assignments: Iterable[str],
    flags: Mapping[str, Any],
    file: Path | None,
    environ: Mapping[str, str],
    parts: Collection[str],
) -> dict[str, Setting]:
    """All explicit settings, strongest last: file, environment, flags, ``--set``.

    Args:
        assignments: of ``--set``.
        flags: values of options by dotted key; None and empty lists were not said.
        file: YAML.
        environ: the process's environment.
        parts: names of groups that are components, whose bare key is their name: ``data=shapes`` means
            ``data.name=shapes``.

    Raises:
        ConfigError: two of them contradict each other.
        InputError: the file is not what it should be.
    """
    written = {} if file is None else from_file(file)
    flagged = {
        key: Setting(value, f"--{key.removesuffix('.name')}") for key, value in flags.items() if value not in (None, [])
    }
    assigned = from_assignments(assignments, source="--set")
    for key, setting in assigned.items():
        said = flagged.get(f"{key}.name" if key in parts else key)
        if said is not None and said.value not in (setting.value, [setting.value]):
            raise ConfigError(f"{said.source} {said.value} and --set {key}={setting.value} contradict each other")
    settings = written | from_environment(environ) | flagged | assigned
    if "budget" in written and written["budget"].value != settings["budget"].value:
        # Its values are those of its own budget and win over a preset: the run would bear a name it has not earned.
        raise ConfigError(
            f"configuration '{file}' is of budget '{written['budget'].value}'", hint="edit the file to change it"
        )
    return {f"{key}.name" if key in parts else key: value for key, value in settings.items()}


def options_of(
    kind: str, settings: Mapping[str, Setting], *, default: str | None, budget: str | None = None
) -> dict[str, Setting]:
    """Name and all options of one component, checked: default < budget < explicit.

    Args:
        kind: of the component, such as ``"datasets"``.
        settings: those below its group.
        default: its name unless ``settings`` say another.
        budget: named preset.

    Raises:
        ConfigError: an option is unknown or out of bounds, or nobody has named the component.
        PluginError: there is no such component.
    """
    if "name" not in settings and default is None:
        raise ConfigError(f"which {noun(kind)}?", hint=f"see `mlvgm plugins list --kind {kind}`")
    name = settings.get("name", Setting(default, "default"))
    resolved = component(kind, str(name.value))
    explicit = {key: Setting(value, "name") for key, value in resolved.given.items()}
    explicit |= {key: value for key, value in settings.items() if key != "name"}
    effort = {} if budget is None else preset(resolved, budget)
    merged = {key: Setting(value, f"budget {budget}") for key, value in effort.items()} | explicit
    values = plain(resolved, configured(resolved, tree(merged)))
    return {"name": name} | {key: merged.get(key, Setting(value, "default")) for key, value in flatten(values).items()}


def budget_of(config: type[RunConfig], settings: Settings) -> tuple[str, dict[str, Setting]]:
    """The budget that settings name, and what it sets.

    Raises:
        ConfigError: there is no such budget.
    """
    budget = str(settings["budget"].value) if "budget" in settings else "demo"
    if budget not in config.BUDGETS:
        raise unknown("budget", budget, config.BUDGETS)
    return budget, {key: Setting(value, f"budget {budget}") for key, value in config.BUDGETS[budget].items()}


def resolve(config: type[C], settings: Settings, *, threads: int, run: str) -> ResolvedConfig[C]:
    """Check every setting against the component it belongs to and fill in budgets and defaults. Loads nothing.

    Args:
        config: the job's class of configurations.
        settings: explicit ones.
        threads: CPU threads unless they say otherwise.
        run: name of the job.

    Raises:
        ConfigError: an option is unknown or its value is not allowed.
        PluginError: a component is unknown or does not load.
    """
    kinds = kinds_of(config)
    own = {key: value for key, value in settings.items() if key.split(".")[0] not in kinds}
    for key in own:
        if key.split(".")[0] not in config.model_fields:
            raise unknown("option", key, config.model_fields)
    budget, effort = budget_of(config, settings)
    values: dict[str, Setting] = {"budget": Setting(budget, "default"), "threads": Setting(threads, "this machine")}
    values |= effort | own
    for name, (kind, default) in kinds.items():
        given = part(settings, name)
        if given or default is not None:
            chosen = options_of(kind, given, default=default, budget=budget)
            values |= {f"{name}.{key}": value for key, value in chosen.items()}
    checked = validate(config, {**tree(values), "run": run}, prefix="run")
    assert isinstance(checked, config)
    defaults = {key: "default" for key in flatten(checked.model_dump()) if key not in values}
    return ResolvedConfig(checked, defaults | {key: value.source for key, value in values.items()})


def tree(settings: Settings) -> dict[str, Any]:
    """Settings as nested plain values."""
    return nest({key: value.value for key, value in settings.items()})
