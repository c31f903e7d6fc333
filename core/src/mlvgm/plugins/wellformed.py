"""Whether a descriptor is what :class:`~mlvgm.plugins.descriptors.Component` says: other people write them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import get_args

from mlvgm.plugins.descriptors import Access, Component, Descriptor, Recipe, Weights

_TARGETS = ("factory", "config", "converter", "job", "command", "protocol")
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
    return next(_complaints(component), None)


def _complaints(component: Descriptor) -> Iterator[str]:
    yield from _texts(component)
    for name in _TARGETS:
        target = getattr(component, name, None)
        if target and not _TARGET.fullmatch(target):
            yield f"{name}: expected 'module:attribute', got {target!r}"
    api = component.api
    if not (isinstance(api, tuple) and len(api) == 2 and all(isinstance(number, int) for number in api)):
        yield f"api: expected two whole numbers such as (1, 0), got {api!r}"
    if isinstance(component, Component):
        yield from _of_component(component)


def _of_component(component: Component) -> Iterator[str]:
    yield from _capabilities(component.capabilities)
    if not _all(component.weights, Weights):
        yield f"weights: expected a tuple of Weights, got {component.weights!r}"
    recipes = component.recipes
    if not (isinstance(recipes, Mapping) and all(_all(of_job, Recipe) for of_job in recipes.values())):
        yield f"recipes: expected a tuple of Recipe by the name of a job, got {recipes!r}"
    for weights in component.weights:
        yield from _texts(weights, "weights: ")
        if not _RESOURCE.fullmatch(weights.file):
            yield f"weights '{weights.name}': file: expected 'package:path', got {weights.file!r}"
        if not _SHA256.fullmatch(weights.sha256):
            yield f"weights '{weights.name}': sha256: expected 64 hexadecimal digits, got {weights.sha256!r}"
    for recipe in (one for of_job in recipes.values() for one in of_job):
        yield from _texts(recipe, "recipes: ")
        if not isinstance(recipe.options, Mapping) or not all(isinstance(key, str) for key in recipe.options):
            yield f"recipe '{recipe.label}': options: expected a mapping of dotted options, got {recipe.options!r}"


def _all(found: object, kind: type) -> bool:
    return isinstance(found, tuple | list) and all(isinstance(one, kind) for one in found)


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


def _texts(one: Descriptor | Weights | Recipe, where: str = "") -> Iterator[str]:
    """Fields that have to be text, or text or None, and are not."""
    for field in fields(one):
        value = getattr(one, field.name)
        if field.type == "str" and not isinstance(value, str):
            yield f"{where}{field.name}: expected text, got {value!r}"
        elif field.type == "str | None" and not isinstance(value, str | None):
            yield f"{where}{field.name}: expected text or None, got {value!r}"
