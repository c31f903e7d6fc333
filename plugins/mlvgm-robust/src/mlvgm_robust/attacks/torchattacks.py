"""``torchattacks:NAME``: attacks of PyPI's ``torchattacks``, for instance ``torchattacks:VMIFGSM?steps=20``."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mlvgm.errors import InputError
from mlvgm.protocols.attack import AttackContext, AttackInfo
from mlvgm_robust.attacks.foreign import Deployed, check_options, library, search
from mlvgm_robust.attacks.torchattacks_config import TorchattacksConfig

if TYPE_CHECKING:
    from torch import Tensor

    from mlvgm_robust.evaluation.target import Target


@dataclass(frozen=True)
class Torchattacks:
    """An attack of torchattacks; what it returns is projected into ball and box, and scored like every attack.

    Args:
        info: name, norm and radius.
        options: further arguments of the attack's constructor.

    Example:
        >>> attack = build(TorchattacksConfig(attack="VMIFGSM", steps=20))   # doctest: +SKIP
        >>> candidates = attack(target, images, labels, context=context)   # doctest: +SKIP
    """

    info: AttackInfo
    options: Mapping[str, Any] = field(default_factory=dict)

    def __call__(
        self, target: Target, images: Tensor, labels: Tensor, *, targets: Tensor | None = None, context: AttackContext
    ) -> Tensor:
        """Candidates; see :class:`mlvgm.protocols.attack.Attack`.

        Raises:
            InputError: wanted classes are given and the attack cannot aim at them.
            PluginError: the foreign code failed.
        """

        def find(model: Deployed, images: Tensor, seed: int) -> Tensor:
            attack = self._attack(model, seed=seed, classes=target.classes)
            if targets is not None:
                if "targeted" not in attack.supported_mode:
                    raise InputError(f"attack '{self.info.name}' cannot aim at given classes")
                attack.set_mode_targeted_by_label(quiet=True)
            found: Tensor = attack(images, labels if targets is None else targets)
            return found

        return search(find, target, images, info=self.info, context=context)

    def _attack(self, model: Deployed, *, seed: int, classes: int) -> Any:
        name = self.info.name.partition(":")[2]
        constructor, trait = getattr(library("torchattacks"), name), TorchattacksConfig.trait(name)
        ours = {trait.radius: self.info.eps, trait.norm: self.info.norm, "seed": seed, "n_classes": classes}
        taken = inspect.signature(constructor).parameters
        return constructor(model, **({key: value for key, value in ours.items() if key in taken} | dict(self.options)))


def build(config: TorchattacksConfig) -> Torchattacks:
    """The attack of ``config``.

    Raises:
        ConfigError: torchattacks is not installed, or the attack does not have one of the options.
    """
    constructor = getattr(library("torchattacks"), config.attack)
    trait, info = config.trait(config.attack), config.info()
    check_options(constructor, config.options, name=info.name, own={"model", "n_classes", trait.radius, trait.norm})
    return Torchattacks(info, config.options)
