"""Objects of other people by name, ``module:attribute``."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlvgm.errors import ConfigError, InputError
from mlvgm.foreign.others import guarded

if TYPE_CHECKING:
    from torch import nn


def import_attribute(target: str) -> Any:
    """What ``module:attribute`` names.

    Raises:
        ConfigError: no such module or attribute.
    """
    name, _, attribute = target.partition(":")
    if not name or not attribute or not all(part.isidentifier() for part in [*name.split("."), *attribute.split(".")]):
        raise ConfigError(f"expected module:attribute, came '{target}'", hint="for example my_defences:purified")
    with guarded(lambda text: ConfigError(f"module {name} does not import: {text}", hint=_where(name))):
        found: Any = importlib.import_module(name)
    for part in attribute.split("."):
        with guarded(lambda text: ConfigError(f"module {name} has no {attribute}: {text}")):
            present = hasattr(found, part)
        if not present:
            raise ConfigError(f"module {name} has no {attribute}", hint="check the name after the colon")
        found = getattr(found, part)
    return found


def made(target: str, kinds: tuple[type, ...], expected: str) -> Any:
    """What ``module:attribute`` names, or what it makes where it is a class or a function without arguments.

    Args:
        target: the name.
        kinds: what is wanted.
        expected: the same in words.

    Raises:
        ConfigError: no such module or attribute.
        InputError: it is something else, or fails.
    """
    found = import_attribute(target)
    if not isinstance(found, kinds):
        if not callable(found):
            raise InputError(f"expected {expected} from {target}, came {type(found).__name__}, which is not callable")
        with guarded(
            lambda text: InputError(
                f"{target} does not make a module: {text}", hint="it is called without arguments and returns one"
            )
        ):
            found = found()
    if not isinstance(found, kinds):
        raise InputError(f"expected {expected} from {target}, came {type(found).__name__}")
    return found


def evaluating(module: nn.Module, *, name: str) -> nn.Module:
    """The same module, in evaluation mode and frozen.

    Raises:
        InputError: it cannot be put there.
    """
    with guarded(lambda text: InputError(f"{name} cannot be put into evaluation mode: {text}")):
        module.eval()
        module.requires_grad_(False)
    return module


def _where(name: str) -> str:
    """What to do about a module that does not import."""
    root = name.partition(".")[0]
    if Path(f"{root}.py").is_file() or Path(root).is_dir():
        return "it lies in this folder: put PYTHONPATH=. before the command, unless the error is its own"
    return "install it, or put its folder on PYTHONPATH"
