"""Components by name, for use in Python."""

from __future__ import annotations

from typing import Any

from mlvgm.errors import ConfigError
from mlvgm.plugins.load import build, component, presets

# What factories take beside their configuration.
_PARTS = ("generator", "data")


def load(reference: str, *, budget: str | None = None, **options: Any) -> Any:
    """Build a component.

    Args:
        reference: ``"KIND/NAME"``, for example ``"generators/nvae"`` or ``"attacks/autoattack"``.
        budget: preset of an attack's effort: ``demo``, ``standard`` or ``rigorous``; options win over it.
        options: configuration fields, and the parts a factory needs (``generator=`` for purifiers, ``data=`` for
            classifiers).

    Raises:
        PluginError: unknown, ambiguous, incompatible or broken plugin.
        ConfigError: an option or the budget is unknown, or a value is out of bounds.

    Example:
        >>> attack = load("attacks/apgd-ce", norm="L2", eps=0.5, budget="demo")
        >>> attack.info.eps
        0.5
    """
    kind, slash, name = reference.partition("/")
    if not slash:
        raise ConfigError(f"expected KIND/NAME, got '{reference}'", hint="`mlvgm plugins list` shows all")
    effort: dict[str, Any] = {}
    if budget is not None:
        budgets = presets(component(kind, name))
        if budget not in budgets:
            raise ConfigError(f"{reference} has no budget '{budget}'", hint=f"known: {', '.join(budgets) or 'none'}")
        effort = budgets[budget]
    parts = {key: options.pop(key) for key in _PARTS if key in options}
    return build(kind, name, effort | options, **parts)
