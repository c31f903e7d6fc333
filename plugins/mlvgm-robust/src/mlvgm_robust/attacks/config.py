"""Options of the attacks; apart from the attacks, so that options are checked without torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from mlvgm.errors import ConfigError
from mlvgm.plugins.load import component, config_class
from mlvgm.protocols.attack import Norm


class BallConfig(BaseModel):
    """The threat model, common to attacks within a given radius; those that can also work in L1 say so."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    norm: Literal["Linf", "L2"] = Field("L2", description="norm of the perturbation")
    eps: float = Field(
        1.0,
        ge=0,
        allow_inf_nan=False,
        description="radius of the ball, in units of [0, 1] pixels; 0 is the null control",
    )


class NearestConfig(BaseModel):
    """What the attacks with minimal norm have in common: no radius, and a last search along the way found."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bisections: int = Field(
        10, ge=0, description="halvings of the way between image and success at the end; 0 as published"
    )


Direction = Literal["gradient", "sign"]


class FgsmConfig(BallConfig):
    """Options of FGSM."""

    BUDGETS: ClassVar[Mapping[str, Mapping[str, object]]] = {"demo": {}, "standard": {}, "rigorous": {}}

    direction: Direction = Field(
        "gradient", description="of the L2 step: the gradient, or its sign as in arXiv 2412.03453; Linf takes the sign"
    )


class PgdConfig(BallConfig):
    """Options of PGD."""

    BUDGETS: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "demo": {"iterations": 20, "restarts": 1},
        "standard": {"iterations": 100, "restarts": 1},
        "rigorous": {"iterations": 200, "restarts": 5},
    }

    norm: Norm = Field("L2", description="norm of the perturbation")  # type: ignore[assignment]
    iterations: int = Field(100, ge=1, description="gradient steps in one restart")
    restarts: int = Field(1, ge=1, description="starts, each on the images that still stand")
    step: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="length of a step; default 2.5 eps / iterations"
    )
    random_start: bool = Field(True, description="start on the sphere; without it the first start is the image itself")
    share: float = Field(0.05, gt=0, le=1, description="L1 only: share of coordinates that move in one step")


class ApgdConfig(BallConfig):
    """Options of APGD on one loss."""

    BUDGETS: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "demo": {"iterations": 20, "restarts": 1},
        "standard": {"iterations": 100, "restarts": 1},
        "rigorous": {"iterations": 200, "restarts": 5},
    }

    iterations: int = Field(100, ge=1, description="gradient steps in one restart")
    restarts: int = Field(1, ge=1, description="random starts, each on the images that still stand")


class ApgdCeConfig(ApgdConfig):
    """Options of APGD-CE."""


class ApgdDlrConfig(ApgdConfig):
    """Options of APGD-DLR."""


class ApgdTConfig(BallConfig):
    """Options of APGD-T."""

    BUDGETS: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "demo": {"iterations": 20, "restarts": 1, "classes": 2},
        "standard": {"iterations": 100, "restarts": 1, "classes": 9},
        "rigorous": {"iterations": 200, "restarts": 3, "classes": 9},
    }

    iterations: int = Field(100, ge=1, description="gradient steps for each class and restart")
    restarts: int = Field(1, ge=1, description="random starts for each class")
    classes: int = Field(9, ge=1, description="classes to try, likeliest first; all others where there are fewer")


class FabTConfig(BallConfig):
    """Options of FAB-T."""

    BUDGETS: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "demo": {"iterations": 20, "restarts": 1, "classes": 2},
        "standard": {"iterations": 100, "restarts": 1, "classes": 9},
        "rigorous": {"iterations": 200, "restarts": 3, "classes": 9},
    }

    iterations: int = Field(100, ge=1, description="steps for each class and restart")
    restarts: int = Field(1, ge=1, description="starts for each class: the image itself, then random ones")
    classes: int = Field(9, ge=1, description="classes to try, likeliest first; all others where there are fewer")
    alpha_max: float = Field(0.1, ge=0, le=1, description="largest pull towards the original image")
    eta: float = Field(1.05, ge=1, description="overshoot over the linearised boundary")
    beta: float = Field(
        0.9, gt=0, lt=1, description="how far to stay from the image after a success; 1 would be no step back"
    )


class SquareConfig(BallConfig):
    """Options of Square."""

    BUDGETS: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "demo": {"queries": 100, "restarts": 1},
        "standard": {"queries": 5000, "restarts": 1},
        "rigorous": {"queries": 10000, "restarts": 2},
    }

    queries: int = Field(5000, ge=1, description="proposals in one restart")
    restarts: int = Field(1, ge=1, description="random starts, each on the images that still stand")


Part = Literal["apgd-ce", "apgd-dlr", "apgd-t", "fab-t", "square"]


class AutoAttackConfig(BallConfig):
    """Options of AutoAttack."""

    BUDGETS: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "demo": {"iterations": 20, "restarts": 1, "classes": 1, "queries": 25},
        "standard": {"iterations": 100, "restarts": 1, "classes": 9, "queries": 5000},
        "rigorous": {"iterations": 200, "restarts": 3, "classes": 9, "queries": 10000},
    }

    version: Literal["native", "official"] = Field(
        "native", description="native, or official: the original's code from PyPI's pyautoattack"
    )
    official_version: Literal["auto", "standard", "rand"] = Field(
        "auto", description="official only: its suite; auto takes rand for a random defence"
    )
    iterations: int = Field(100, ge=1, description="steps of APGD and FAB for each class and restart")
    restarts: int = Field(1, ge=1, description="random starts of each attack")
    classes: int = Field(9, ge=1, description="classes APGD-T and FAB-T try; all others where there are fewer")
    queries: int = Field(5000, ge=1, description="proposals of Square")
    parts: tuple[Part, ...] | None = Field(
        None,
        min_length=1,
        description="native only: attacks to run, in this order; default chooses by the number of classes",
    )


class DeepFoolConfig(NearestConfig):
    """Options of DeepFool."""

    BUDGETS: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "demo": {"iterations": 20, "classes": 4},
        "standard": {"iterations": 50, "classes": 9},
        "rigorous": {"iterations": 200, "classes": 9},
    }

    norm: Norm = Field("L2", description="norm of the perturbation")
    iterations: int = Field(50, ge=1, description="most steps")
    classes: int = Field(9, ge=1, description="boundaries to look at, likeliest first; all where there are fewer")
    overshoot: float = Field(0.02, ge=0, allow_inf_nan=False, description="relative length added to every step")
    clip: bool = Field(True, description="stay in [0, 1]; off as published, where the harness refuses what leaves it")

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.norm == "L1" and not self.clip:
            raise ConfigError("attack.clip=false: DeepFool in L1 takes pixels to the end of the box")
        return self


class CarliniWagnerConfig(NearestConfig):
    """Options of Carlini & Wagner's attack."""

    BUDGETS: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "demo": {"iterations": 40, "searches": 4},
        "standard": {"iterations": 100, "searches": 6},
        "rigorous": {"iterations": 500, "searches": 9},
    }

    norm: Literal["L2"] = Field("L2", description="norm of the perturbation")
    iterations: int = Field(100, ge=1, description="gradient steps for each c")
    searches: int = Field(6, ge=1, description="values of c tried for each image")
    c: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="first weight of the margin; default: enough for a linear model"
    )
    kappa: float = Field(0.0, ge=0, allow_inf_nan=False, description="margin by which the logits should be wrong")
    step: float = Field(
        2.0,
        gt=0,
        allow_inf_nan=False,
        description="Adam's first step, in distances to a success; it falls to 0",
    )
    noise: float = Field(0.0, ge=0, allow_inf_nan=False, description="L2 norm of Gaussian noise on every start")
    classes: int = Field(9, ge=1, description="boundaries that runs after the first start across, likeliest first")
    early_abort: bool = Field(True, description="end the steps for a c once they can gain no more")


class FmnConfig(NearestConfig):
    """Options of FMN."""

    BUDGETS: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "demo": {"iterations": 50, "restarts": 1},
        "standard": {"iterations": 100, "restarts": 3},
        "rigorous": {"iterations": 500, "restarts": 9},
    }

    norm: Norm = Field("L2", description="norm of the perturbation")
    iterations: int = Field(100, ge=1, description="gradient steps, times restarts, shared out between all starts")
    restarts: int = Field(
        3,
        ge=1,
        description="least starts, across the nearest boundary, the second nearest and so on; one in 50 steps",
    )
    step: float = Field(
        2.0,
        gt=0,
        allow_inf_nan=False,
        description="first step's L2 length, in distances to the start; it falls as a cosine",
    )
    gamma: float = Field(0.1, gt=0, lt=1, description="first relative change of the radius; it falls as a cosine")
    classes: int = Field(9, ge=1, description="boundaries to start across, likeliest first")


class LatentDriftConfig(BallConfig):
    """Options of latent drift."""

    BUDGETS: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "demo": {"iterations": 20, "restarts": 1},
        "standard": {"iterations": 100, "restarts": 2},
        "rigorous": {"iterations": 200, "restarts": 5},
    }

    iterations: int = Field(100, ge=1, description="gradient steps in one restart")
    restarts: int = Field(2, ge=1, description="random starts, each on the images that still stand")


class LatentTargetConfig(BallConfig):
    """Options of latent target."""

    BUDGETS: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "demo": {"iterations": 20, "classes": 1, "samples": 64},
        "standard": {"iterations": 100, "classes": 3, "samples": 256},
        "rigorous": {"iterations": 200, "classes": 9, "samples": 1024},
    }

    iterations: int = Field(100, ge=1, description="gradient steps for each class")
    classes: int = Field(3, ge=1, description="rival classes tried in turn, the nearest in latents first")
    samples: int = Field(256, ge=1, description="generated images among which the goals are chosen")


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
