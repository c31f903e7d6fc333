"""Names of a package that are imported when they are first used, and shown by ``dir`` and ``help`` all the same."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazily(package: str, homes: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """``__getattr__`` and ``__dir__`` of a package.

    Args:
        package: its ``__name__``.
        homes: module that has each name.

    Example:
        >>> get, names = lazily("mlvgm", {"Keys": "mlvgm.noise"})
        >>> get("Keys").__name__, "Keys" in names()
        ('Keys', True)
    """

    def get(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module '{package}' has no attribute '{name}'")
        return getattr(import_module(homes[name]), name)

    def names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *homes})

    return get, names
