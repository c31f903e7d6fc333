"""Whether a descriptor is what :class:`~mlvgm.plugins.descriptors.Component` says: other people write them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import get_args

from mlvgm.plugins.descriptors import Access, Component, Descriptor, KindComponent, Recipe, Weights

_TARGET = re.compile(r"\w+(\.\w+)*:\w+(\.\w+)*")
_RESOURCE = re.compile(r"\w+(\.\w+)*:[^:]+")
_SHA256 = re.compile(r"[0-9a-f]{64}")
# Capabilities that core reads; a plugin may have others.
_CAPABILITIES: Mapping[str, type] = {
    "needs_generator": bool,
    "needs_encoder": bool,
    "differentiable": bool,
    "processes": bool,
    "access": str,
    "requirement": int,
}


def complaint(component: Descriptor) -> str | None:
    """What is wrong with a descriptor, the first thing in words; None if it can be used.

    >>> complaint(Component(summary="", factory="my_module.build", config="my_module:Config"))
    "factory: expected 'module:attribute', got 'my_module.build'"
    """
    return next(_complaints(component) if isinstance(component, Component) else _short(component), None)


def _short(component: Descriptor) -> Iterator[str]:
    """Of a descriptor that has nothing but text and targets."""
    texts = ("summary", "options") if isinstance(component, KindComponent) else ("summary", "epilog")
    for name in texts:
        yield from _expected(name, getattr(component, name), str, "text")
    for name in ("job", "command", "protocol"):
        target = getattr(component, name, None)
        if target and not (isinstance(target, str) and _TARGET.fullmatch(target)):
            yield f"{name}: expected 'module:attribute', got {target!r}"
    yield from _version(component.api)


def _version(api: object) -> Iterator[str]:
    if not (isinstance(api, tuple) and len(api) == 2 and all(isinstance(number, int) for number in api)):
        yield f"api: expected two whole numbers such as (1, 0), got {api!r}"


def _complaints(component: Component) -> Iterator[str]:
    for name in ("summary", "factory", "config"):
        yield from _expected(name, getattr(component, name), str, "text")
    for name in ("converter", "trainer", "argument"):
        yield from _expected(name, getattr(component, name), (str, type(None)), "text or None")
    for name in ("factory", "config", "converter"):
        target = getattr(component, name)
        if target is not None and not _TARGET.fullmatch(target):
            yield f"{name}: expected 'module:attribute', got {target!r}"
    yield from _version(component.api)
    yield from _capabilities(component.capabilities)
    for name, kind in (("weights", Weights), ("recipes", Recipe)):
        found = getattr(component, name)
        if not isinstance(found, (tuple, list)) or not all(isinstance(one, kind) for one in found):
            yield f"{name}: expected a tuple of {kind.__name__}, got {found!r}"
    for weights in component.weights:
        for name in ("name", "file", "sha256", "licence", "summary"):
            yield from _expected(f"weights: {name}", getattr(weights, name), str, "text")
        if not _RESOURCE.fullmatch(weights.file):
            yield f"weights '{weights.name}': file: expected 'package:path', got {weights.file!r}"
        if not _SHA256.fullmatch(weights.sha256):
            yield f"weights '{weights.name}': sha256: expected 64 hexadecimal digits, got {weights.sha256!r}"
    for recipe in component.recipes:
        yield from _expected("recipes: label", recipe.label, str, "text")
        yield from _expected(f"recipe '{recipe.label}': note", recipe.note, str, "text")
        yield from _expected(f"recipe '{recipe.label}': job", recipe.job, str, "text")
        if not isinstance(recipe.options, Mapping) or not all(isinstance(key, str) for key in recipe.options):
            yield f"recipe '{recipe.label}': options: expected a mapping of dotted options, got {recipe.options!r}"


def _capabilities(capabilities: object) -> Iterator[str]:
    if not isinstance(capabilities, Mapping):
        yield f"capabilities: expected a mapping, got {capabilities!r}"
        return
    for name, value in capabilities.items():
        if not isinstance(name, str) or not isinstance(value, (str, int, bool)):
            yield f"capabilities: expected names with text, whole numbers or booleans, got {name!r}: {value!r}"
        elif name in _CAPABILITIES and type(value) is not _CAPABILITIES[name]:
            yield f"capability '{name}': expected {_CAPABILITIES[name].__name__}, got {value!r}"
    access = capabilities.get("access", "gradient")
    if access not in get_args(Access):
        yield f"capability 'access': expected one of {', '.join(get_args(Access))}, got {access!r}"


def _expected(name: str, value: object, kind: type | tuple[type, ...], words: str) -> Iterator[str]:
    if not isinstance(value, kind):
        yield f"{name}: expected {words}, got {value!r}"
