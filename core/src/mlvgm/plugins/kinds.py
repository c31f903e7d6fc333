"""Kinds: what core knows of its own, and what plugins say of those they bring."""

from __future__ import annotations

from collections.abc import Mapping

from mlvgm.plugins.describe import descriptor
from mlvgm.plugins.descriptors import KindComponent
from mlvgm.plugins.index import Index, noun

# Protocols of core's kinds; those without one are not checked.
_PROTOCOLS: Mapping[str, tuple[str, ...]] = {
    "generators": ("mlvgm.protocols.generator:MultiLatentGenerator",),
    "encoders": ("mlvgm.protocols.generator:MultiLatentGenerator", "mlvgm.protocols.generator:Encodes"),
    "purifiers": ("mlvgm.protocols.purifier:Purifier",),
    "attacks": ("mlvgm.protocols.attack:Attack",),
    "datasets": ("mlvgm.protocols.data:Dataset",),
    "classifiers": ("mlvgm.protocols.classifier:Classifier",),
    "trainers": ("mlvgm.protocols.train:Training",),
    "jobs": ("mlvgm.protocols.job:Job",),
}
_GROUPS = {"datasets": "data", "trainers": "train"}


def protocols(kind: str, *, index: Index | None = None) -> tuple[str, ...]:
    """``module:attribute`` of what components of a kind have to satisfy."""
    brought = _brought(kind, index)
    if brought is None or brought.protocol is None:
        return _PROTOCOLS.get(kind, ())
    return (brought.protocol,)


def option_group(kind: str, name: str, *, index: Index | None = None) -> str:
    """What the dotted options of a component begin with, as ``--set`` takes them.

    >>> option_group("attacks", "fgsm"), option_group("datasets", "shapes")
    ('attack', 'data')
    """
    brought = _brought(kind, index)
    if brought is None or not brought.options:
        return _GROUPS.get(kind, noun(kind))
    return brought.options.format(name=name)


def _brought(kind: str, index: Index | None) -> KindComponent | None:
    if kind in _PROTOCOLS:
        return None
    entries = (Index.installed() if index is None else index).entries("kinds")
    found = next((entry for entry in entries if entry.name == kind), None)
    return None if found is None else descriptor(found, KindComponent)
