"""Contracts: whether what a factory made has what the protocol of its kind asks for."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from importlib import import_module
from types import FunctionType
from typing import Any, get_origin, get_type_hints


def difference(made: object, protocols: Sequence[str]) -> str | None:
    """How something differs from what it has to be, in words; None if it does not.

    ``protocols`` are ``module:attribute``. Attributes are there and of their types, methods are there and can be
    called; what they do is seen when they do it.

    >>> difference(3, ("mlvgm.protocols.attack:Attack",))
    'an int without info, expected mlvgm.protocols.attack.Attack'
    """
    for protocol in map(_protocol, protocols):
        name = f"{protocol.__module__}.{protocol.__name__}"
        if isinstance(made, type):
            return f"the class {made.__name__} itself, expected an instance that is a {name}"
        problem = next(_problems(made, protocol), None)
        if problem is not None:
            return f"{_article(type(made).__name__)} {problem}, expected {name}"
    return None


def _protocol(target: str) -> type:
    module, _, name = target.partition(":")
    found: type = getattr(import_module(module), name)
    return found


def _problems(made: object, protocol: type) -> Iterator[str]:
    for name, member in vars(protocol).items():
        if isinstance(member, property):
            yield from _attribute(made, name, member)
        elif isinstance(member, FunctionType) and (name == "__call__" or not name.startswith("_")):
            # Called as made(…), hence looked up where Python does.
            found = inspect.getattr_static(type(made), name, None) if name == "__call__" else getattr(made, name, None)
            if found is None:
                yield "that cannot be called" if name == "__call__" else f"without {name}()"
            elif name != "__call__" and not callable(found):
                yield f"whose {name} is {_article(type(found).__name__)} and no method"


def _attribute(made: object, name: str, declared: property) -> Iterator[str]:
    try:
        found = getattr(made, name)
    except AttributeError:
        yield f"without {name}"
        return
    expected = _type(declared)
    if expected is not Any and isinstance(expected, type) and not isinstance(found, expected):
        yield f"whose {name} is {_article(type(found).__name__)}, not {_article(expected.__name__)}"


def _type(declared: property) -> Any:
    """What a protocol says that an attribute is; the container of generic types."""
    assert declared.fget is not None
    try:
        hint = get_type_hints(declared.fget)["return"]
    except NameError:  # protocols import torch for type checkers only
        import torch

        hint = get_type_hints(declared.fget, localns={"torch": torch})["return"]
    return get_origin(hint) or hint


def _article(name: str) -> str:
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"
