"""Objects of other people by name, ``module:attribute``."""

from __future__ import annotations

import importlib
from typing import Any

from mlvgm.errors import ConfigError


def import_attribute(target: str) -> Any:
    """What ``module:attribute`` names.

    Raises:
        ConfigError: no such module or attribute.
    """
    name, _, attribute = target.partition(":")
    if not name or not attribute:
        raise ConfigError(f"expected module:attribute, came '{target}'", hint="for example my_defences:purified")
    try:
        found: Any = importlib.import_module(name)
    except Exception as error:  # the user's module may fail in any way
        raise ConfigError(
            f"module {name} does not import: {type(error).__name__}: {error}",
            hint="install it, or put its folder on PYTHONPATH",
        ) from error
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise ConfigError(f"module {name} has no {attribute}", hint="check the name after the colon")
        found = getattr(found, part)
    return found
