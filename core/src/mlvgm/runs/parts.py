"""Single parts of a command, by name and options. Imports no torch itself: a part that needs none costs none."""

from __future__ import annotations

from typing import Any

from mlvgm.errors import ConfigError, PluginError
from mlvgm.others import guarded
from mlvgm.plugins.contracts import difference
from mlvgm.plugins.load import build, component, configured
from mlvgm.protocols.data import Dataset
from mlvgm.reading import size_of
from mlvgm.runs.config import COMPONENTS, DEFAULT_NAMES, Named, PurifyConfig
from mlvgm.runs.settings import Settings, nest, part


def build_named(kind: str, named: Named, **parts: Any) -> Any:
    """Build one component of a configuration (``kind`` as in the configuration: ``"generator"``, ``"attack"``, …)."""
    return build(COMPONENTS[kind], named.name, named.options, **parts)


def build_placed(kind: str, named: Named, device: str, **parts: Any) -> Any:
    """Build one component of a configuration and move it to a device.

    Raises:
        PluginError: it cannot be moved.
    """
    made = build_named(kind, named, **parts)
    entry = component(COMPONENTS[kind], named.name).entry
    with guarded(lambda text: PluginError(f"plugin {entry} cannot be moved to device '{device}': {text}")):
        placed = made.to(device)
        wrong = difference(placed, entry.kind)
    if wrong is not None:
        raise PluginError(f"plugin {entry}: its to() returned {wrong}")
    return placed


def build_part(name: str, settings: Settings, **parts: Any) -> Any:
    """Build the component whose settings stand below ``name.`` (``"generator"``, ``"purifier"``, …)."""
    options = {key: setting.value for key, setting in part(settings, name).items()}
    return build(COMPONENTS[name], str(options.pop("name", DEFAULT_NAMES[name])), nest(options), **parts)


def check_part(name: str, settings: Settings) -> Any:
    """The configuration of that component, checked and not built.

    Raises:
        ConfigError: an option is unknown or out of bounds.
        PluginError: there is no such component.
    """
    options = {key: setting.value for key, setting in part(settings, name).items()}
    chosen = component(COMPONENTS[name], str(options.pop("name", DEFAULT_NAMES[name])))
    return configured(chosen, {**chosen.given, **nest(options)})


def check_given(settings: Settings) -> None:
    """Check the options of every component that the user names, before anything is loaded.

    Raises:
        ConfigError: an option is unknown or out of bounds.
        PluginError: there is no such component.
    """
    for name in COMPONENTS:
        if f"{name}.name" in settings and isinstance(settings[f"{name}.name"].value, str):
            check_part(name, settings)


def build_data(config: PurifyConfig) -> tuple[Dataset, tuple[int, ...]]:
    """The data set of a run and the sample ids it uses.

    Raises:
        InputError: data are missing or broken.
        ConfigError: the split has no images.
    """
    data: Dataset = build_named("data", config.data)
    size = size_of(data, config.split)
    if not size:
        raise ConfigError(f"split '{config.split}' of data '{config.data.name}' is empty")
    return data, tuple(range(size if config.limit is None else min(config.limit, size)))


def check_attacks(config: PurifyConfig) -> None:
    """Refuse options of other libraries' attacks (``foolbox:NAME``) that these do not take; only making them can tell.

    Raises:
        ConfigError: there is one.
    """
    for row in config.attacks:
        if component("attacks", row.attack.name).argument is not None:
            build_named("attack", row.attack)


def check_device(device: str) -> None:
    """Refuse a device that torch cannot compute on.

    Raises:
        ConfigError: it is unknown or not there.
    """
    if device == "cpu":
        return
    import torch

    try:
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError, NotImplementedError, ValueError) as error:
        why = str(error).partition("\n")[0].partition(". ")[0] or type(error).__name__
        raise ConfigError(f"device '{device}' is not available: {why}") from None
