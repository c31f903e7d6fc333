"""Attacks of any make in an audit: made again with other options where they are no dataclasses that could be copied."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, Self

from torch import Tensor

from mlvgm.plugins.load import build
from mlvgm.protocols.attack import Attack, AttackContext, AttackInfo
from mlvgm_robust.evaluation.target import Target


@dataclass(frozen=True)
class ConfiguredAttack:
    """An attack that knows the options it was made with; each can be read as an attribute.

    Args:
        name: of the plugin.
        options: as its configuration has them.
        attack: made with these.
    """

    name: str
    options: tuple[tuple[str, Any], ...]
    attack: Attack = field(compare=False, repr=False)

    @property
    def info(self) -> AttackInfo:
        return self.attack.info

    def __call__(
        self, target: Target, images: Tensor, labels: Tensor, *, targets: Tensor | None = None, context: AttackContext
    ) -> Tensor:
        return self.attack(target, images, labels, targets=targets, context=context)

    def with_options(self, **options: Any) -> Self:
        """The same attack with other options.

        Raises:
            MlvgmError: its plugin refuses them.
        """
        changed = dict(self.options) | options
        return type(self)(self.name, tuple(changed.items()), build("attacks", self.name, changed))

    def __getattr__(self, name: str) -> Any:
        try:
            return dict(object.__getattribute__(self, "options"))[name]
        except KeyError:
            raise AttributeError(f"attack '{self.name}' has no option '{name}'") from None


def configured_attack(attack: Attack, name: str, options: Mapping[str, Any]) -> Attack:
    """The attack itself if it is a dataclass whose fields are its options, else one that can be made again.

    Args:
        attack: what the plugin made.
        name: of the plugin.
        options: that it was made with.
    """
    if is_dataclass(attack) and {one.name for one in fields(attack)}.intersection(options):
        return attack
    return ConfiguredAttack(name, tuple(options.items()), attack)
