"""``foolbox:NAME``: attacks of PyPI's ``foolbox``, for instance ``foolbox:L2FMNAttack?steps=500``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mlvgm.errors import ConfigError
from mlvgm.protocols.attack import AttackContext, AttackInfo
from mlvgm_robust.attacks.foolbox_config import FoolboxConfig
from mlvgm_robust.attacks.foreign import Deployed, check_options, library, search

if TYPE_CHECKING:
    from torch import Tensor

    from mlvgm_robust.evaluation.target import Target


@dataclass(frozen=True)
class Foolbox:
    """An attack of foolbox; what it returns is projected into ball and box, and scored like every attack.

    Args:
        info: name, norm and radius.
        options: further arguments of the attack's constructor.

    Example:
        >>> attack = build(FoolboxConfig(attack="L2FMNAttack", steps=500))   # doctest: +SKIP
        >>> candidates = attack(target, images, labels, context=context)   # doctest: +SKIP
    """

    info: AttackInfo
    options: Mapping[str, Any] = field(default_factory=dict)

    def __call__(
        self, target: Target, images: Tensor, labels: Tensor, *, targets: Tensor | None = None, context: AttackContext
    ) -> Tensor:
        """Candidates; see :class:`mlvgm.protocols.attack.Attack`.

        Raises:
            PluginError: the foreign code failed, for instance because the attack cannot aim at given classes.
        """
        foolbox = library("foolbox")
        criteria = library("foolbox.criteria")

        def find(model: Deployed, images: Tensor, seed: int) -> Tensor:
            wrapped = foolbox.PyTorchModel(model, bounds=(0, 1), device=images.device)
            aim = criteria.TargetedMisclassification
            goal = criteria.Misclassification(labels) if targets is None else aim(targets)
            clipped: Tensor = self.create()(wrapped, images, goal, epsilons=self.info.eps)[1]
            return clipped

        return search(find, target, images, info=self.info, context=context)

    def create(self) -> Any:
        """The attack as foolbox's own object."""
        name = self.info.name.partition(":")[2]
        ours = {}
        if FoolboxConfig.trait(name).norm:
            ours["distance"] = getattr(library("foolbox.distances"), self.info.norm.lower())
        return getattr(library("foolbox.attacks"), name)(**ours, **self.options)


def build(config: FoolboxConfig) -> Foolbox:
    """The attack of ``config``.

    Raises:
        ConfigError: foolbox is not installed, or the attack has no such option, or refuses its value.
    """
    library("foolbox")
    constructor = getattr(library("foolbox.attacks"), config.attack)
    trait, info = config.trait(config.attack), config.info()
    check_options(constructor, config.options, name=info.name, own={trait.norm})
    attack = Foolbox(info, config.options)
    try:
        attack.create()
    except ImportError as error:  # of what foolbox needs for this attack only
        raise ConfigError(
            f"attack '{info.name}' needs the package {error.name}", hint=f"pip install {error.name}"
        ) from error
    except (TypeError, ValueError) as error:
        raise ConfigError(f"attack '{info.name}': {error}") from error
    return attack
