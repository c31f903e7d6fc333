"""How users name a component: ``[DISTRIBUTION/]NAME[:ARGUMENT][?OPTION=VALUE&…]``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mlvgm.errors import ConfigError


@dataclass(frozen=True)
class Reference:
    """A component as the user named it.

    Args:
        name: entry name.
        distribution: which distribution's entry, where several have the name; None takes the only one.
        argument: text after the colon, e.g. a folder or a model name; None without a colon.
        options: configuration fields after the question mark, as text.
    """

    name: str
    distribution: str | None = None
    argument: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)


def parse(text: str) -> Reference:
    """Split a reference into its parts.

    A question mark inside an argument belongs to it unless ``OPTION=VALUE`` pairs follow, so paths need no escaping.

    Args:
        text: e.g. ``"nvae"``, ``"mlvgm-nvae/nvae"``, ``"timm:resnet18"``, ``"autoattack?eps=0.5&norm=L2"``.

    Raises:
        ConfigError: no name, or something after ``?`` that is not ``OPTION=VALUE``.

    >>> parse("timm:hf-hub:org/model?pretrained=true")
    Reference(name='timm', distribution=None, argument='hf-hub:org/model', options={'pretrained': 'true'})
    """
    base, mark, tail = text.rpartition("?")
    pairs = [pair.partition("=") for pair in tail.split("&")] if mark else []
    if not all(name and equals for name, equals, _ in pairs):
        if ":" not in base:
            raise ConfigError(f"expected NAME?OPTION=VALUE&OPTION=VALUE, got '{text}'")
        pairs = []
    if not pairs:
        base = text
    head, colon, argument = base.partition(":")
    distribution, slash, name = head.rpartition("/")
    if not name or (slash and not distribution):
        raise ConfigError(f"expected NAME, NAME:ARGUMENT or DISTRIBUTION/NAME, got '{text}'")
    return Reference(
        name=name,
        distribution=distribution or None,
        argument=argument if colon else None,
        options={option: value for option, _, value in pairs},
    )
