"""Transfer: what another attack finds on the bare classifier, handed over to be judged on the whole defence."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mlvgm.errors import ConfigError
from mlvgm.plugins.load import build as build_component
from mlvgm.plugins.load import component, preset
from mlvgm.protocols.attack import Attack, AttackContext, AttackInfo
from mlvgm_robust.attacks.config import TransferConfig
from mlvgm_robust.evaluation.harness import transferred

if TYPE_CHECKING:
    from torch import Tensor

    from mlvgm.protocols.classifier import Classifier
    from mlvgm_robust.evaluation.target import Target


@dataclass(frozen=True)
class Transfer:
    """Runs ``attack`` on the classifier alone, whose gradients are exact where a purifier's are missing or useless.

    Alone it is weak, for the attacker does not use the purifier. It competes with BPDA (arXiv 1802.00420) wherever an
    attack on gradients meets a purifier that has none; see :func:`mlvgm_robust.evaluation.harness.run_attack`.

    Args:
        attack: any attack; the norm and radius are its own.
        classifier: what it is run on; the one behind the purifier by default.

    Example:
        >>> from mlvgm_robust.attacks.apgd_ce import ApgdCe
        >>> Transfer(ApgdCe("Linf", 8 / 255)).info.name
        'transfer:apgd-ce'
    """

    attack: Attack
    classifier: Classifier | None = None

    @property
    def info(self) -> AttackInfo:
        inner = self.attack.info
        return replace(inner, name=f"transfer:{inner.name}", access="classifier")

    def __call__(
        self, target: Target, images: Tensor, labels: Tensor, *, targets: Tensor | None = None, context: AttackContext
    ) -> Tensor:
        return transferred(
            self.attack, target, images, labels, targets=targets, context=context, classifier=self.classifier
        )


def build(config: TransferConfig) -> Transfer:
    """The transfer of the attack ``config`` names.

    Raises:
        PluginError: there is no such attack.
        ConfigError: it does not have one of the options, or is a transfer itself.
    """
    effort = preset(component("attacks", config.attack), config.budget)
    ball = {key: value for key, value in (("norm", config.norm), ("eps", config.eps)) if value is not None}
    options = {**effort, **ball, **config.options}
    attack: Attack = build_component("attacks", config.attack, options)
    if attack.info.access == "classifier":
        raise ConfigError(f"attack '{config.attack}' is a transfer already", hint="for instance transfer:apgd-ce")
    return Transfer(attack)
