"""Settings: where every option's value comes from.

Later layers win: default, budget, file, environment, command line.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlvgm import plain_yaml
from mlvgm.errors import ConfigError, InputError

ENVIRONMENT_PREFIX = "MLVGM_SET_"
_FRACTION = re.compile(r"(-?\d+(?:\.\d+)?)/(\d+(?:\.\d+)?)")


@dataclass(frozen=True)
class Setting:
    """A value and the layer it came from."""

    value: Any
    source: str


Settings = Mapping[str, Setting]


def parse_value(text: str) -> Any:
    """A value as users write it: a YAML scalar or list, or a fraction.

    >>> parse_value("8/255") == 8 / 255, parse_value("[0, 1]"), parse_value("keep:6"), parse_value("1e-3")
    (True, [0, 1], 'keep:6', 0.001)
    """
    match = _FRACTION.fullmatch(text.strip())
    if match and float(match[2]):
        return float(match[1]) / float(match[2])
    try:
        value = plain_yaml.parse(text)
    except ValueError:
        return text
    return text if isinstance(value, dict) else value


def from_assignments(assignments: Iterable[str], *, source: str) -> dict[str, Setting]:
    """Settings of ``KEY=VALUE`` strings with dotted keys.

    Raises:
        ConfigError: one of them has no key or no ``=``.
    """
    settings: dict[str, Setting] = {}
    for assignment in assignments:
        key, equals, value = (part.strip() for part in assignment.partition("="))
        if not equals or not key:
            raise ConfigError(f"expected KEY=VALUE, got '{assignment}'", hint="for example --set attack.eps=0.5")
        if not value:
            raise ConfigError(f"'{key}' has no value in '{assignment}'", hint=f"{key}=null sets none")
        setting = Setting(parse_value(value), source)
        if settings.get(key, setting) != setting:
            raise ConfigError(f"'{key}' is set twice: to {settings[key].value} and to {setting.value}")
        settings[key] = setting
    return settings


def from_environment(environ: Mapping[str, str]) -> dict[str, Setting]:
    """Settings of variables like ``MLVGM_SET_ATTACK__EPS=0.5`` (a double underscore stands for the dot)."""
    return {
        name.removeprefix(ENVIRONMENT_PREFIX).lower().replace("__", "."): Setting(parse_value(value), f"${name}")
        for name, value in environ.items()
        if name.startswith(ENVIRONMENT_PREFIX) and value.strip()  # an empty variable is as good as none
    }


def from_file(path: Path) -> dict[str, Setting]:
    """Settings of a YAML file.

    Raises:
        InputError: it is missing, not such YAML as :mod:`mlvgm.plain_yaml` takes, or no mapping.
    """
    content = plain_yaml.read(path, what="configuration")
    if not isinstance(content, dict):
        came = "nothing" if content is None else type(content).__name__
        raise InputError(f"configuration '{path}': expected a mapping of options, got {came}")
    try:
        return {key: Setting(value, str(path)) for key, value in flatten(content).items()}
    except ConfigError as error:
        raise InputError(f"configuration '{path}': {error.message}") from None


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as dotted keys.

    Raises:
        ConfigError: the same key is there nested and dotted.

    >>> flatten({"attack": {"eps": 1.0}, "seed": 0})
    {'attack.eps': 1.0, 'seed': 0}
    """
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        found = flatten(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
        if twice := flat.keys() & found.keys():
            raise ConfigError(f"'{min(twice)}' is there twice")
        flat |= found
    return flat


def nest(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted keys as nested mappings; the inverse of :func:`flatten`.

    Raises:
        ConfigError: a key is used both as an option and as a group of options.
    """
    tree: dict[str, Any] = {}
    for key, value in flat.items():
        *groups, last = key.split(".")
        node = tree
        for group in groups:
            node = node.setdefault(group, {})
            if not isinstance(node, dict):
                raise ConfigError(f"'{key}': '{group}' has a value and cannot hold options")
        if isinstance(node.get(last), dict):
            raise ConfigError(f"'{key}' has options and cannot have a value", hint=f"set '{key}.name'")
        node[last] = value
    return tree


def refuse_others(settings: Settings, groups: Collection[str], *, what: str) -> None:
    """Refuse ``--set`` options outside ``groups``; the environment may hold those of other commands.

    Raises:
        ConfigError: there is one.
    """
    for key, setting in settings.items():
        if setting.source == "--set" and key.split(".")[0] not in groups:
            known = " and ".join(f"{group}.*" for group in groups)
            raise ConfigError(f"unknown option '{key}'", hint=f"{what} has {known} options")


def part(settings: Settings, name: str) -> dict[str, Setting]:
    """The settings below ``name.``, without that prefix."""
    return {key.removeprefix(f"{name}."): value for key, value in settings.items() if key.startswith(f"{name}.")}
