"""Transfer: what another attack finds on the bare classifier, handed over to be judged on the whole defence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from mlvgm.errors import ConfigError
from mlvgm.harness import transferred
from mlvgm.plugins.load import build as build_component
from mlvgm.plugins.load import component, config_class
from mlvgm.protocols.attack import Attack, AttackContext, AttackInfo, Norm

if TYPE_CHECKING:
    from torch import Tensor

    from mlvgm.target import Target


class TransferConfig(BaseModel):
    """Options of the transfer of another attack; norm and radius are that attack's own unless they are given."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    BUDGETS: ClassVar[Mapping[str, Mapping[str, object]]] = {
        name: {"budget": name} for name in ("demo", "standard", "rigorous")
    }

    attack: str = Field("apgd-ce", description="attack on the bare classifier, NAME or NAME:ARGUMENT")
    budget: Literal["demo", "standard", "rigorous"] = Field("standard", description="that attack's preset of effort")
    options: dict[str, Any] = Field({}, description="its other options, e.g. attack.options.iterations=50")
    norm: Norm | None = Field(None, description="norm of the perturbation; default is the attack's own")
    eps: float | None = Field(
        None,
        ge=0,
        allow_inf_nan=False,
        description="radius of the ball, in units of [0, 1] pixels; default is the attack's own, if any",
    )

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, given: Any) -> Any:
        """The attack's own norm and radius where none are given, so that plans and records name them."""
        if not isinstance(given, Mapping):
            return given
        name = given.get("attack", cls.model_fields["attack"].default)
        if not isinstance(name, str):
            return given
        resolved = component("attacks", name)
        fields = config_class(resolved).model_fields
        if given.get("eps") is not None and "eps" not in fields:
            raise ConfigError(f"attack 'transfer:{name}' takes no eps: it looks for the smallest perturbation")
        if resolved.given:  # its defaults may hang on its argument
            return given
        own = {key: fields[key].default for key in ("norm", "eps") if key in fields and given.get(key) is None}
        return {**given, **own}


@dataclass(frozen=True)
class Transfer:
    """Runs ``attack`` on the classifier alone, whose gradients are exact where a purifier's are missing or useless.

    Alone it is weak, for the attacker does not use the purifier. It competes with BPDA (arXiv 1802.00420) wherever an
    attack on gradients meets a purifier that has none; see :func:`mlvgm.harness.run_attack`.

    Args:
        attack: any attack; the norm and radius are its own.

    Example:
        >>> from mlvgm_robust.attacks.apgd_ce import ApgdCe
        >>> Transfer(ApgdCe("Linf", 8 / 255)).info.name
        'transfer:apgd-ce'
    """

    attack: Attack

    @property
    def info(self) -> AttackInfo:
        inner = self.attack.info
        return replace(inner, name=f"transfer:{inner.name}", access="classifier")

    def __call__(
        self, target: Target, images: Tensor, labels: Tensor, *, targets: Tensor | None = None, context: AttackContext
    ) -> Tensor:
        return transferred(self.attack, target, images, labels, targets=targets, context=context)


def build(config: TransferConfig) -> Transfer:
    """The transfer of the attack ``config`` names.

    Raises:
        PluginError: there is no such attack.
        ConfigError: it does not have one of the options, or is a transfer itself.
    """
    preset = getattr(config_class(component("attacks", config.attack)), "BUDGETS", {}).get(config.budget, {})
    ball = {key: value for key, value in (("norm", config.norm), ("eps", config.eps)) if value is not None}
    options = {**preset, **ball, **config.options}
    attack: Attack = build_component("attacks", config.attack, options)
    if attack.info.access == "classifier":
        raise ConfigError(f"attack '{config.attack}' is a transfer already", hint="for instance transfer:apgd-ce")
    return Transfer(attack)
