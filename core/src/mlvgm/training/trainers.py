"""Which training makes a component, and its options."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlvgm.errors import ConfigError, PluginError, unknown
from mlvgm.plugins.describe import descriptor
from mlvgm.plugins.descriptors import Component
from mlvgm.plugins.index import KINDS, Index, noun
from mlvgm.plugins.load import Resolved, component, config_class, configured, presets

if TYPE_CHECKING:
    from mlvgm.training.config import TrainingConfig


@dataclass(frozen=True)
class Chosen:
    """A training with checked options, not begun.

    Args:
        kind: of component that is trained, in the singular.
        name: of the component.
        trainer: the plugin that trains it.
        config: the options.
    """

    kind: str
    name: str
    trainer: Resolved
    config: TrainingConfig


def choose(kind: str, name: str | None, options: Mapping[str, Any], *, budget: str | None = None) -> Chosen:
    """The training of a component and its configuration, checked. Imports no torch.

    Args:
        kind: singular or plural, e.g. ``"generator"``.
        name: what is trained, e.g. ``"nvae"``; without it, the error lists what there is.
        options: of the training, nested mappings for nested models; they win over the budget's.
        budget: preset, e.g. ``"demo"``; the training's defaults without.

    Raises:
        ConfigError: kind, budget or an option is unknown, or an option is out of bounds, or there is no name.
        PluginError: nothing of that kind and name can be trained.
    """
    from mlvgm.training.config import TrainingConfig

    kind = noun(kind)
    trainer = _trainer(kind, name)
    if not issubclass(config_class(trainer), TrainingConfig):
        text = f"plugin {trainer.entry}: {trainer.component.config}"
        raise PluginError(f"{text}: expected a subclass of {TrainingConfig.__module__}.{TrainingConfig.__name__}")
    effort = presets(trainer)
    if budget is not None and budget not in effort:
        raise unknown("budget", budget, effort)
    preset = effort[budget] if budget is not None else {}
    config = configured(trainer, {**preset, **trainer.given, **options})
    assert isinstance(config, TrainingConfig)
    return Chosen(kind, str(name).partition("?")[0], trainer, config)


def _trainer(kind: str, name: str | None) -> Resolved:
    known = _known(kind)
    if not known:
        raise unknown("kind of component to train", kind, (each for each in map(noun, KINDS) if _known(each)))
    commands = " or ".join(f"`mlvgm train {kind} {one}`" for one in known)
    if name is None:
        raise ConfigError(f"train what {kind}?", hint=commands)
    one, mark, options = name.partition("?")
    if one not in known:
        near = [f"`mlvgm train {kind} {other}`" for other in difflib.get_close_matches(one, known, n=1)]
        hint = f"did you mean {near[0]}? known: {', '.join(known)}" if near else commands
        raise PluginError(f"no {kind} '{one}' that can be trained", hint=hint)
    return component("trainers", f"{known[one]}{mark}{options}")


def _known(kind: str) -> dict[str, str]:
    """The trainer of everything of a kind that can be trained, by name.

    A component names its trainer; one that makes no component of its own is called KINDs-NAME.
    """
    index, known = Index.installed(), dict[str, str]()
    for entry in index.entries("trainers"):
        plural, _, name = entry.name.partition("-")
        if noun(plural) == kind:
            known[name] = entry.name
    for entry in index.entries():
        if noun(entry.kind) == kind and entry.kind in KINDS:
            with suppress(PluginError):  # a broken plugin keeps nobody from training another's component
                known |= {entry.name: own} if (own := descriptor(entry, Component).trainer) else {}
    return dict(sorted(known.items()))
