"""Options of other libraries' attacks, and what has to be known of each of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

from mlvgm.errors import ConfigError, unknown
from mlvgm.protocols.attack import Access, AttackInfo, Norm

_RADII: Mapping[Norm, float] = {"Linf": 8 / 255, "L2": 1.0, "L1": 10.0}


@dataclass(frozen=True)
class Trait:
    """What this project has to know of an attack that it did not write.

    Args:
        norms: norms it can work in, the default first.
        minimal: it looks for the smallest perturbation instead of the worst in a ball.
        radius: its constructor's option for the radius; empty where there is none.
        norm: its constructor's option for the norm; empty where it has only one.
        access: what it uses of the target.
        classes: fewest classes it works with.
    """

    norms: tuple[Norm, ...]
    minimal: bool = False
    radius: str = "eps"
    norm: str = ""
    access: Access = "gradient"
    classes: int = 2


class ForeignConfig(BaseModel):
    """Options of an adapter: those below, and whatever else the attack's own constructor takes."""

    model_config = ConfigDict(frozen=True, extra="allow")

    LIBRARY: ClassVar[str]
    TRAITS: ClassVar[Mapping[str, Trait]]
    REFUSED: ClassVar[Mapping[str, str]]
    CLIPS: ClassVar[bool] = False

    attack: str = Field(description="the attack's class in the library; further options go to its constructor")
    norm: Norm | None = Field(None, description="norm of the perturbation; default is the attack's own")
    eps: float | None = Field(
        None,
        ge=0,
        allow_inf_nan=False,
        description="radius of the ball, in units of [0, 1] pixels; default 8/255 in Linf, 1 in L2, 10 in L1",
    )

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, given: Any) -> Any:
        """Text as values, and the norm and radius that the attack's name implies."""
        if not isinstance(given, Mapping) or not isinstance(given.get("attack"), str):
            return given
        values = {key: value if key == "attack" else _value(value) for key, value in given.items()}
        name, trait = f"{cls.LIBRARY}:{values['attack']}", cls.trait(values["attack"])
        norm = values.get("norm") or trait.norms[0]
        if norm not in trait.norms:
            raise ConfigError(f"attack '{name}' works in {' or '.join(trait.norms)}, came norm {norm}")
        if trait.minimal and values.get("eps") is not None and not cls.CLIPS:
            raise ConfigError(f"attack '{name}' takes no eps: it looks for the smallest perturbation")
        if not trait.minimal and values.get("eps") is None:
            values["eps"] = _RADII[norm]
        return {**values, "norm": norm}

    @classmethod
    def trait(cls, name: str) -> Trait:
        """What is known of the attack of that name.

        Raises:
            ConfigError: there is none, or it cannot be used here.
        """
        if name in cls.REFUSED:
            raise ConfigError(f"attack '{cls.LIBRARY}:{name}' cannot be used: {cls.REFUSED[name]}")
        if name not in cls.TRAITS:
            raise unknown(f"{cls.LIBRARY} attack", name, cls.TRAITS)
        return cls.TRAITS[name]

    @property
    def options(self) -> dict[str, Any]:
        """What goes to the attack's constructor as it is."""
        return dict(self.__pydantic_extra__ or {})

    def info(self) -> AttackInfo:
        """What the attack declares about itself."""
        trait = self.trait(self.attack)
        return AttackInfo(
            f"{self.LIBRARY}:{self.attack}", self.norm or trait.norms[0], self.eps, trait.access, trait.classes
        )


def _value(text: Any) -> Any:
    """Text from the command line as the number, truth value or list that it spells."""
    if not isinstance(text, str):
        return text
    try:
        return json.loads({"True": "true", "False": "false", "None": "null"}.get(text, text))
    except ValueError:
        return text
